/** Takes the messages of an answer from a transport. */

import { protocolError } from "../core/errors.js";
import { MessageReader, type Landed, type Layout, type Place } from "./reader.js";
import { concat, PREFIX } from "./writer.js";

/** What a transport gives the answer to. Bytes may be cut anywhere; those that are given may not be changed later. */
export interface Receiver {
  /** Begins a message of so many bytes; infinite if that is not known. */
  begin(bytes: number): void;
  push(chunk: Uint8Array): void;
  /** Ends the message. */
  end(): void;
}

/** Reads messages of one layout, and gives each away. */
export class MessageReceiver implements Receiver {
  readonly #layout: Layout;
  readonly #place: Place;
  readonly #take: (landed: Landed) => void;
  #reader: MessageReader | undefined;

  constructor(layout: Layout, place: Place, take: (landed: Landed) => void) {
    this.#layout = layout;
    this.#place = place;
    this.#take = take;
  }

  begin(bytes: number): void {
    this.#reader = new MessageReader(this.#layout, this.#place, bytes);
  }

  push(chunk: Uint8Array): void {
    this.#reader?.push(chunk);
  }

  end(): void {
    const landed = this.#reader?.finish();
    this.#reader = undefined;
    if (landed !== undefined) this.#take(landed);
  }
}

/** The flag of a frame that is compressed. */
const COMPRESSED = 1;

/** Takes messages out of their frames, each with a prefix of a byte of flags and the length. */
export class FrameReader {
  readonly #receiver: Receiver;
  readonly #special: (flags: number, frame: Uint8Array) => void;
  #prefix: Uint8Array = new Uint8Array();
  /** The bytes of the frame that have not come; `undefined` between frames. */
  #left: number | undefined;
  #flags = 0;
  #kept: Uint8Array[] = [];

  /** @param special - Takes frames that are no messages: those with flags, other than that of compression. */
  constructor(receiver: Receiver, special: (flags: number, frame: Uint8Array) => void) {
    this.#receiver = receiver;
    this.#special = special;
  }

  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left === undefined) {
        const more = chunk.subarray(at, at + PREFIX - this.#prefix.length);
        this.#prefix = concat([this.#prefix, more]);
        at += more.length;
        if (this.#prefix.length < PREFIX) return;
        this.#begin();
      } else {
        const part = chunk.subarray(at, at + this.#left);
        this.#left -= part.length;
        at += part.length;
        if (this.#flags === 0) this.#receiver.push(part);
        else this.#kept.push(part);
      }
      if (this.#left === 0) this.#end();
    }
  }

  /** Fails if a frame is not complete. */
  finish(): void {
    if (this.#left !== undefined || this.#prefix.length > 0) throw protocolError("the message", "is cut off");
  }

  #begin(): void {
    const view = new DataView(this.#prefix.buffer);
    this.#flags = view.getUint8(0);
    this.#left = view.getUint32(1);
    this.#prefix = new Uint8Array();
    if (this.#flags === COMPRESSED) throw protocolError("the message", "is compressed, which was not asked for");
    if (this.#flags === 0) this.#receiver.begin(this.#left);
  }

  #end(): void {
    this.#left = undefined;
    if (this.#flags === 0) {
      this.#receiver.end();
    } else {
      this.#special(this.#flags, concat(this.#kept));
      this.#kept = [];
    }
  }
}
