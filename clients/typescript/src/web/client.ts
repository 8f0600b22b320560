/** The client for browsers, and for other programs with `fetch`. */

import { checkNames, choice, refuse, shown } from "../core/arguments.js";
import { BaseClient } from "../core/client.js";
import { authorization, callerSettings, COMMON_OPTIONS, isLoopback, type CommonOptions } from "../core/settings.js";
import { FetchTransport, type WebProtocol } from "./fetch-transport.js";

/** Settings of a {@link Client}. */
export interface ClientOptions extends CommonOptions {
  /**
   * The protocol. `"connect"` needs a server that listens on a loopback address, or has `--connect`; `"grpc-web"` one that has
   * `--grpc-web`, or a proxy. Default: `"connect"`.
   */
  readonly protocol?: WebProtocol | undefined;
  /** Makes the requests, such as with credentials. Default: that of the platform. */
  readonly fetch?: typeof fetch | undefined;
}

/**
 * A client of an evenkeel server, by `fetch`. It has all calls. Tensors that are larger than a message of the server are streamed in
 * both directions at once, which browsers cannot: such calls reject with a {@link MessageTooLargeError}. Measurements take tensors of
 * any size, also here.
 *
 * @example
 * ```ts
 * import { Client, tensor } from "@evenkeel/client/web";
 *
 * const client = new Client("http://127.0.0.1:50051");
 * const { output } = await client.layerNorm(tensor([[40000, 40001, 40002, 40003]]));
 * ```
 */
export class Client extends BaseClient {
  /**
   * @param address - `http://…` or `https://…`, also with a path. Default: the origin of the page.
   * @param options - Settings.
   * @throws {@link InvalidArgumentError} for an address or a setting that cannot be used.
   */
  constructor(address?: string, options: ClientOptions = {}) {
    checkNames(options, [...COMMON_OPTIONS, "protocol", "fetch"]);
    const { protocol = "connect", fetch: own, onWarning } = options;
    const url = parseUrl(address);
    const transport = new FetchTransport({
      base: url.href.replace(/\/+$/, ""),
      protocol: choice("protocol", protocol, { connect: "connect", "grpc-web": "grpc-web" } as const),
      authorization: authorization(options, url.protocol === "https:" || isLoopback(url)),
      fetch: own ?? ((input, init) => fetch(input, init)),
      warn:
        onWarning ??
        ((message) => {
          console.warn(message);
        }),
    });
    super(transport, callerSettings(options));
  }
}

function parseUrl(address: string | undefined): URL {
  const page = (globalThis as { location?: { origin: string } }).location?.origin;
  const text = address ?? page;
  if (text === undefined) refuse("address", "is required where there is no page");
  try {
    const url = new URL(text, page);
    if ((url.protocol === "http:" || url.protocol === "https:") && url.search === "" && url.hash === "") return url;
  } catch {
    // The error is the same.
  }
  refuse("address", `expected http://… or https://…, got ${shown(address)}`);
}
