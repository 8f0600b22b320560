/** The client for Node. */

import { checkNames, refuse, shown } from "../core/arguments.js";
import { BaseClient } from "../core/client.js";
import { authorization, callerSettings, COMMON_OPTIONS, count, type CommonOptions } from "../core/settings.js";
import { parseAddress, TLS_OPTIONS, type TlsOptions } from "./address.js";
import { Http2Transport } from "./http2-transport.js";

/** Settings of a {@link Client}. */
export interface ClientOptions extends CommonOptions {
  /** TLS. `true`, or any setting, switches it on for an address `host:port`; `https://` has it in any case. */
  readonly tls?: TlsOptions | true | undefined;
  /** The number of connections, which calls take in turns. Default: 1. */
  readonly connections?: number | undefined;
}

/**
 * A client of an evenkeel server. Many calls may be under way at the same time. It connects when it is first used, and again when a
 * connection has ended; a connection without calls does not keep the program alive.
 *
 * @example
 * ```ts
 * import { Client, tensor } from "@evenkeel/client";
 *
 * const client = new Client("127.0.0.1:50051");
 * const { output } = await client.layerNorm(tensor([[40000, 40001, 40002, 40003]]));
 * ```
 */
export class Client extends BaseClient {
  /**
   * @param address - `host:port`, `http://host:port`, `https://host:port` or `unix:/path`.
   * @param options - Settings.
   * @throws {@link InvalidArgumentError} for an address or a setting that cannot be used.
   */
  constructor(address: string, options: ClientOptions = {}) {
    checkNames(options, [...COMMON_OPTIONS, "tls", "connections"]);
    const { tls, connections = 1, onWarning } = options;
    const settings = tlsSettings(tls);
    const where = parseAddress(address, tls !== undefined);
    const transport = new Http2Transport({
      address: where,
      tls: settings,
      connections: count("connections", connections, 1),
      authorization: authorization(options, where.isSafe),
      warn: onWarning ?? warn,
    });
    super(transport, callerSettings(options));
  }
}

function tlsSettings(tls: TlsOptions | true | undefined): TlsOptions {
  if (tls === undefined || tls === true) return {};
  if (typeof tls !== "object" || (tls as object | null) === null)
    refuse("tls", `expected true or settings, got ${shown(tls)}`);
  checkNames(tls, TLS_OPTIONS);
  if ((tls.cert === undefined) !== (tls.key === undefined)) refuse("tls.cert", "a certificate and its key go together");
  return tls;
}

function warn(message: string): void {
  process.emitWarning(message, "EvenkeelWarning");
}
