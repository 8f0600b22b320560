/** What streams of tensors have in common. */

import type { Caller } from "./caller.js";
import { InvalidArgumentError, MessageTooLargeError, protocolError } from "./errors.js";
import type { Scope } from "./scope.js";
import type { Limits } from "./server-info.js";

/** No server has a lower limit for messages, so shorter ones are sent without asking for it. */
const LEAST_MAX_MESSAGE_BYTES = 1 << 10;

/** The longest chunks that are sent. */
const MAX_CHUNK_BYTES = 1 << 20;

/** What a chunk needs in a message beside its bytes. */
const OVERHEAD = 16;

/** How the elements of a stream are cut. */
export interface Streamed {
  /** The most bytes of a chunk. */
  readonly chunk: number;
}

function streamed({ maxMessageBytes, maxStreamChunkBytes }: Limits): Streamed {
  const chunk = maxStreamChunkBytes === 0 ? MAX_CHUNK_BYTES : maxStreamChunkBytes;
  return { chunk: Math.max(Math.min(chunk, MAX_CHUNK_BYTES, maxMessageBytes - OVERHEAD), 1) };
}

/**
 * How a call is made: as a stream if its request or its answer is larger than a message of the server; else `undefined`.
 *
 * @throws {@link MessageTooLargeError} if it had to be a stream and cannot be.
 */
export async function route(
  caller: Caller,
  scope: Scope,
  requestBytes: number,
  answerBytes: number,
): Promise<Streamed | undefined> {
  const bytes = Math.max(requestBytes, answerBytes);
  if (bytes <= LEAST_MAX_MESSAGE_BYTES) return undefined;
  const limits = await caller.limits(scope);
  // A server without streams tells by itself what is too large.
  if (bytes <= limits.maxMessageBytes || limits.maxStreamChunkBytes === 0) return undefined;
  const { noStreams } = caller.transport;
  if (noStreams !== undefined) {
    throw new MessageTooLargeError(
      `the call needs messages of ${bytes} bytes, the server takes ${limits.maxMessageBytes}, and larger ones are streamed: ${noStreams}`,
    );
  }
  return streamed(limits);
}

/** The most bytes of a message of a measurement. */
export async function messageRoom(caller: Caller, scope: Scope, bytes: number): Promise<number> {
  if (bytes <= LEAST_MAX_MESSAGE_BYTES / 2) return LEAST_MAX_MESSAGE_BYTES;
  return Math.min(MAX_CHUNK_BYTES, (await caller.limits(scope)).maxMessageBytes);
}

/** The bytes in pieces of a size; views, not copies. */
export function* cut(data: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size);
}

/** Bytes that come in chunks. */
export class Output {
  readonly bytes: Uint8Array;
  readonly #field: string;
  #at = 0;

  constructor(field: string, bytes: Uint8Array) {
    this.#field = field;
    this.bytes = bytes;
  }

  /** Begins anew, for another try. */
  reset(): void {
    this.#at = 0;
  }

  /** The place of the next bytes. */
  take(bytes: number): Uint8Array {
    const place = this.bytes.subarray(this.#at, this.#at + bytes);
    if (place.length < bytes)
      throw protocolError(this.#field, `has more than the ${this.bytes.length} bytes that are due`);
    this.#at += bytes;
    return place;
  }

  /** Fails unless all bytes have come. */
  complete(): void {
    if (this.#at < this.bytes.length) {
      throw protocolError(this.#field, `ends after ${this.#at} of ${this.bytes.length} bytes`);
    }
  }
}

/** Keeps the order of a stream's answer: a header, then anything, then a summary. */
export class Order {
  #state: "waiting" | "begun" | "over" = "waiting";

  header(): void {
    if (this.#state !== "waiting") throw protocolError("header", "comes a second time, or belongs to another call");
    this.#state = "begun";
  }

  inside(): void {
    if (this.#state === "waiting") throw protocolError("header", "is missing: it is the first message");
    if (this.#state === "over") throw protocolError("summary", "is not the last message of the stream");
  }

  summary(): void {
    this.inside();
    this.#state = "over";
  }

  end(): void {
    if (this.#state !== "over") throw protocolError("summary", "is missing at the end of the stream");
  }
}

/** The paths of a stream's faults begin with its header, where those of the unary call do not. */
export async function withoutHeader<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    const fields = error.fields.map(({ path, description }) => ({
      path: path.replace(/^(backward_)?header\./, ""),
      description,
    }));
    throw new InvalidArgumentError(error.message, fields, { reason: error.reason, cause: error });
  }
}
