/** What the core needs of a connection: HTTP/2 in Node, `fetch` in browsers. */

import type { Receiver } from "../wire/receiver.js";
import type { Framed } from "../wire/writer.js";

/** The method of a call. */
export interface Method {
  readonly name: string;
  /** What the request is, beside one message. Answers are streams only where requests are. */
  readonly kind: "unary" | "client-stream" | "stream";
}

/** A call on the wire. */
export interface WireCall {
  readonly method: Method;
  /** The messages of the request; made one by one if there are several. */
  readonly messages: Iterable<Framed>;
  readonly receiver: Receiver;
  /** Ends the call. */
  readonly signal: AbortSignal;
  /** What is left of the deadline, for the server; `undefined`: no deadline. */
  readonly timeoutMs: number | undefined;
}

/** Makes calls. */
export interface Transport {
  /** Why a request cannot be sent while its answer comes; `undefined` if it can. */
  readonly noStreams: string | undefined;
  /** Makes an array for so many bytes, whose content is of no matter. */
  allocate(bytes: number): Uint8Array;
  /** Makes a call. Rejects with a StatusFault, or with what the receiver has thrown. */
  call(call: WireCall): Promise<void>;
  /** Tells the user of something that is no error, in the way of the platform. */
  warn(message: string): void;
  close(): Promise<void>;
}

/** The path of a method. */
export function pathOf({ name }: Method): string {
  return `/evenkeel.v1.TensorOpsService/${name}`;
}
