/** Calls by `fetch`: Connect or gRPC-Web. */

import { StatusFault } from "../core/status.js";
import { pathOf, type Transport, type WireCall } from "../core/transport.js";
import { concat, PREFIX } from "../wire/writer.js";
import { connectHeaders, readConnect } from "./connect.js";
import { grpcWebHeaders, readGrpcWeb } from "./grpc-web.js";

/** How calls look on the wire. */
export type WebProtocol = "connect" | "grpc-web";

export interface FetchSettings {
  /** The address of the server, without a slash at the end. */
  readonly base: string;
  readonly protocol: WebProtocol;
  readonly authorization: string | undefined;
  readonly fetch: typeof fetch;
  readonly warn: (message: string) => void;
}

export class FetchTransport implements Transport {
  readonly noStreams = "a browser cannot send a request while its answer comes; cut the tensor, or call from Node";
  readonly warn: (message: string) => void;
  readonly #settings: FetchSettings;

  constructor(settings: FetchSettings) {
    this.warn = settings.warn;
    this.#settings = settings;
  }

  allocate(bytes: number): Uint8Array {
    return new Uint8Array(bytes);
  }

  async call(call: WireCall): Promise<void> {
    const { base, protocol, authorization, fetch } = this.#settings;
    const isConnect = protocol === "connect";
    // A body is one piece: browsers send no request of unknown length over HTTP/1.1.
    const parts = [...call.messages].flatMap((message) => message.parts);
    const whole = concat(parts);
    const body = isConnect && call.method.kind === "unary" ? whole.subarray(PREFIX) : whole;
    let response: Response;
    try {
      response = await fetch(base + pathOf(call.method), {
        method: "POST",
        headers: {
          ...(isConnect ? connectHeaders(call) : grpcWebHeaders(call)),
          ...(authorization === undefined ? {} : { authorization }),
        },
        body,
        signal: call.signal,
      });
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      const hint = "it may be down, or not name the page's origin in --cors-origin";
      throw new StatusFault("UNAVAILABLE", `no answer from ${base}: ${words} (${hint})`, [], error);
    }
    await (isConnect ? readConnect(response, call) : readGrpcWeb(response, call));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
