/** gRPC over Node's own HTTP/2. */

import { constants, sensitiveHeaders, type ClientHttp2Stream, type OutgoingHttpHeaders } from "node:http2";

import { DeadlineExceededError, type Code } from "../core/errors.js";
import { grpcFault, grpcTimeout, httpFault, type ReadHeader } from "../core/grpc-status.js";
import { StatusFault } from "../core/status.js";
import { pathOf, type Transport, type WireCall } from "../core/transport.js";
import { VERSION } from "../core/version.js";
import { FrameReader } from "../wire/receiver.js";
import type { Framed } from "../wire/writer.js";
import type { Address, TlsOptions } from "./address.js";
import { Connection, type Lease } from "./connection.js";

/** Large elements are written in views of this size, so that a connection holds little of a call at a time. */
const WRITE_BYTES = 1 << 20;

/** The codes of a stream that was reset. */
const RESET_CODES: Readonly<Record<number, Code>> = {
  [constants.NGHTTP2_REFUSED_STREAM]: "UNAVAILABLE",
  [constants.NGHTTP2_CANCEL]: "CANCELLED",
  [constants.NGHTTP2_ENHANCE_YOUR_CALM]: "RESOURCE_EXHAUSTED",
  [constants.NGHTTP2_INADEQUATE_SECURITY]: "PERMISSION_DENIED",
};

export interface Http2Settings {
  readonly address: Address;
  readonly tls: TlsOptions;
  readonly connections: number;
  readonly authorization: string | undefined;
  readonly warn: (message: string) => void;
}

export class Http2Transport implements Transport {
  readonly noStreams = undefined;
  readonly warn: (message: string) => void;
  readonly #address: Address;
  readonly #authorization: string | undefined;
  readonly #connections: readonly Connection[];
  #calls = 0;

  constructor({ address, tls, connections, authorization, warn }: Http2Settings) {
    this.warn = warn;
    this.#address = address;
    this.#authorization = authorization;
    this.#connections = Array.from({ length: connections }, () => new Connection(address, tls));
  }

  /** Not filled with zeros, and not a part of Node's pool: the array belongs to the caller alone. */
  allocate(bytes: number): Uint8Array {
    const { buffer } = Buffer.allocUnsafeSlow(bytes);
    return new Uint8Array(buffer, 0, bytes);
  }

  async call(call: WireCall): Promise<void> {
    const connection = this.#connections[this.#calls % this.#connections.length];
    this.#calls += 1;
    if (connection === undefined) throw new RangeError("there is no connection");
    const lease = connection.lease();
    try {
      await new Exchange(call, lease, this.#address.text, this.#headers(call)).ended;
    } finally {
      lease.release(call.signal.reason instanceof DeadlineExceededError);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.close()));
  }

  #headers({ method, timeoutMs }: WireCall): OutgoingHttpHeaders {
    return {
      ":method": "POST",
      ":path": pathOf(method),
      "content-type": "application/grpc+proto",
      te: "trailers",
      "user-agent": `evenkeel-typescript/${VERSION}`,
      ...(timeoutMs === undefined ? {} : { "grpc-timeout": grpcTimeout(timeoutMs) }),
      ...(this.#authorization === undefined
        ? {}
        : { authorization: this.#authorization, [sensitiveHeaders]: ["authorization"] }),
    };
  }
}

/** A call on a stream of HTTP/2. */
class Exchange {
  /** Settles when the call has ended. */
  readonly ended: Promise<void>;
  readonly #lease: Lease;
  readonly #address: string;
  readonly #stream: ClientHttp2Stream;
  readonly #frames: FrameReader;
  readonly #pieces: Iterator<Uint8Array>;
  #status: { readonly http: number; readonly read: ReadHeader } | undefined;
  #fault: Error | undefined;
  #settle: (fault: Error | undefined) => void = () => undefined;
  #isSettled = false;

  constructor(call: WireCall, lease: Lease, address: string, headers: OutgoingHttpHeaders) {
    this.#lease = lease;
    this.#address = address;
    this.#frames = new FrameReader(call.receiver, () => {
      throw new StatusFault("INTERNAL", "the answer has a frame of an unknown kind");
    });
    this.#pieces = pieces(call.messages);
    this.#stream = begin(lease, headers, address);
    this.ended = new Promise<void>((resolve, reject) => {
      const abort = (): void => {
        this.#give(new StatusFault("CANCELLED", "the call was cancelled"));
      };
      this.#settle = (fault) => {
        call.signal.removeEventListener("abort", abort);
        if (fault === undefined) resolve();
        else reject(fault);
      };
      call.signal.addEventListener("abort", abort, { once: true });
    });
    this.#listen();
    this.#write();
  }

  #listen(): void {
    const stream = this.#stream;
    const keep = (headers: Readonly<Record<string, unknown>>): void => {
      const read: ReadHeader = (name) => (typeof headers[name] === "string" ? headers[name] : undefined);
      const http = Number(headers[":status"] ?? 200);
      if (http !== 200 || read("grpc-status") !== undefined) this.#status ??= { http, read };
    };
    stream.on("response", (headers) => {
      this.#lease.hear();
      keep(headers);
    });
    stream.on("trailers", keep);
    stream.on("data", (chunk: Buffer) => {
      this.#lease.hear();
      try {
        this.#frames.push(chunk);
      } catch (fault) {
        this.#give(fault);
      }
    });
    stream.on("drain", () => {
      this.#write();
    });
    // The trailers are announced in the turn in which the last bytes are.
    stream.on("end", () =>
      setImmediate(() => {
        this.#end();
      }),
    );
    stream.on("error", (error) => {
      this.#fault ??= error as Error;
    });
    stream.on("close", () => {
      this.#end();
    });
  }

  /** Writes as much as the connection takes. */
  #write(): void {
    try {
      while (!this.#isSettled && !this.#stream.destroyed && !this.#stream.writableEnded) {
        const piece = this.#pieces.next();
        if (piece.done === true) this.#stream.end();
        else if (!this.#stream.write(piece.value)) return;
      }
    } catch (fault) {
      this.#give(fault);
    }
  }

  /** Ends the call before its time. */
  #give(fault: unknown): void {
    this.#finish(fault instanceof Error ? fault : new Error(String(fault)));
    this.#stream.close(constants.NGHTTP2_CANCEL);
  }

  /** Ends the call as the server has ended it. */
  #end(): void {
    if (this.#isSettled) return;
    this.#finish(this.#outcome());
    // The server may answer before it has the whole request.
    if (!this.#stream.closed) this.#stream.close(constants.NGHTTP2_NO_ERROR);
  }

  #finish(fault: Error | undefined): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#settle(fault);
  }

  /** Why the call has failed; `undefined` if it has not. */
  #outcome(): Error | undefined {
    if (this.#status === undefined) return this.#broken();
    const { http, read } = this.#status;
    if (read("grpc-status") === undefined) return httpFault(http);
    const fault = grpcFault(read);
    if (fault !== undefined) return fault;
    try {
      this.#frames.finish();
      return undefined;
    } catch (cut) {
      return cut instanceof Error ? cut : new Error(String(cut));
    }
  }

  /** What a call means that has no status. */
  #broken(): StatusFault {
    const cause = this.#lease.fault() ?? origin(this.#fault);
    const words = cause === undefined ? undefined : reasonOf(cause);
    if (this.#lease.fault() !== undefined) {
      return new StatusFault("UNAVAILABLE", `no connection to ${this.#address}: ${words ?? "it broke"}`, [], cause);
    }
    const rstCode = this.#stream.rstCode as number | undefined;
    if (this.#lease.session.destroyed || this.#lease.session.closed) {
      return new StatusFault(
        "UNAVAILABLE",
        `the connection to ${this.#address} has ended${words === undefined ? "" : `: ${words}`}`,
        [],
        cause,
      );
    }
    const message = `the server has ended the call without a status (code ${rstCode ?? 0} of HTTP/2)`;
    return new StatusFault(RESET_CODES[rstCode ?? 0] ?? "INTERNAL", message, [], cause);
  }
}

/** Opens a stream. The connection may have ended since the last call. */
function begin(lease: Lease, headers: OutgoingHttpHeaders, address: string): ClientHttp2Stream {
  try {
    return lease.session.request(headers, { endStream: false });
  } catch (error) {
    throw new StatusFault(
      "UNAVAILABLE",
      `no call can be made on the connection to ${address}: ${String(error)}`,
      [],
      error,
    );
  }
}

/** What an error of HTTP/2 was caused by. */
function origin(error: Error | undefined): Error | undefined {
  return error?.cause instanceof Error ? origin(error.cause) : error;
}

/** The message of an error; that of several tries to connect has none itself. */
function reasonOf(error: Error): string {
  if (error.message !== "") return error.message;
  return error instanceof AggregateError ? error.errors.map(String).join("; ") : error.name;
}

/** The bytes of messages in views of a size that a connection can hold. */
function* pieces(messages: Iterable<Framed>): Generator<Uint8Array> {
  for (const { parts } of messages) {
    for (const part of parts) {
      for (let at = 0; at < part.length; at += WRITE_BYTES) yield part.subarray(at, at + WRITE_BYTES);
    }
  }
}
