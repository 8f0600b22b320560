/** Reads an answer while it arrives: the elements of tensors go to their own arrays, and all else to the generated code. */

import { fromBinary } from "@bufbuild/protobuf";

import { TensorSchema, type Tensor as TensorMessage } from "../gen/evenkeel/v1/tensor_ops_pb.js";
import { protocolError } from "../core/errors.js";
import { concat } from "./writer.js";

/** Which fields of a message are large. */
export interface Layout {
  /** The fields that are tensors. */
  readonly tensors?: readonly number[];
  /** The fields that are bytes. */
  readonly bytes?: readonly number[];
}

/** Returns the place of so many bytes: of a tensor's elements, or of a field of bytes. */
export type Place = (field: number, bytes: number) => Uint8Array;

/** A tensor of an answer. */
export interface LandedTensor {
  readonly field: number;
  /** All but the elements. */
  readonly message: TensorMessage;
  /** The elements, little-endian. */
  readonly data: Uint8Array;
}

/** What an answer is made of. */
export interface Landed {
  /** The fields that are not in {@link Layout}. */
  readonly rest: Uint8Array;
  readonly tensors: readonly LandedTensor[];
  readonly bytes: ReadonlyMap<number, Uint8Array>;
}

/** The field of a tensor's elements. */
const DATA = 15;

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

const NOTHING: Uint8Array = new Uint8Array();

/** A tensor whose fields are being read. */
interface Opened {
  readonly field: number;
  readonly fields: Uint8Array[];
  data: Uint8Array;
  /** The bytes of it that have not come. */
  left: number;
}

/** A varint, or `undefined` if its end has not come. */
function readVarint(bytes: Uint8Array, start: number): { value: number; end: number } | undefined {
  let value = 0;
  let scale = 1;
  let at = start;
  for (const byte of bytes.subarray(start, start + 10)) {
    at += 1;
    value += (byte & 0x7f) * scale;
    scale *= 0x80;
    if (byte < 0x80) return { value, end: at };
  }
  if (at - start === 10) throw protocolError("a field", "is no varint");
  return undefined;
}

/** Reads one message, whose bytes may be cut anywhere. */
export class MessageReader {
  readonly #layout: Layout;
  readonly #place: Place;
  /** The bytes of the message that have not come; infinite if its length is not known. */
  #left: number;
  /** The begin of a field whose head is not complete. */
  #begun: Uint8Array = NOTHING;
  /** Where the next bytes belong, and how many of them are there. */
  #target: Uint8Array = NOTHING;
  #filled = 0;
  #tensor: Opened | undefined;
  readonly #rest: Uint8Array[] = [];
  readonly #tensors: LandedTensor[] = [];
  readonly #bytes = new Map<number, Uint8Array>();

  constructor(layout: Layout, place: Place, length: number) {
    this.#layout = layout;
    this.#place = place;
    this.#left = length;
  }

  push(chunk: Uint8Array): void {
    let bytes = chunk;
    let at = 0;
    while (at < bytes.length) {
      const wanted = this.#target.length - this.#filled;
      if (wanted > 0) {
        const taken = bytes.subarray(at, at + wanted);
        this.#target.set(taken, this.#filled);
        this.#filled += taken.length;
        at += taken.length;
        if (taken.length === wanted) this.#close();
        continue;
      }
      if (this.#begun.length > 0) {
        bytes = concat([this.#begun, bytes.subarray(at)]);
        at = 0;
        this.#begun = NOTHING;
      }
      const end = this.#field(bytes, at);
      if (end === undefined) {
        this.#begun = bytes.slice(at);
        return;
      }
      at = end;
    }
  }

  /** Everything, when all bytes have come. */
  finish(): Landed {
    if (this.#begun.length > 0 || this.#filled < this.#target.length || this.#tensor !== undefined) {
      throw protocolError("the message", "is cut off");
    }
    const rest = this.#rest.length === 1 ? (this.#rest[0] ?? NOTHING) : concat(this.#rest);
    return { rest, tensors: this.#tensors, bytes: this.#bytes };
  }

  /** Reads the head of the field at `at`. Returns its end, or `undefined` if it has not come. */
  #field(bytes: Uint8Array, at: number): number | undefined {
    const tag = readVarint(bytes, at);
    if (tag === undefined) return undefined;
    const [field, type] = [Math.floor(tag.value / 8), tag.value % 8];
    if (type === VARINT) {
      const value = readVarint(bytes, tag.end);
      if (value === undefined) return undefined;
      return this.#keep(bytes, at, value.end, 0);
    }
    if (type === FIXED32 || type === FIXED64) return this.#keep(bytes, at, tag.end, type === FIXED32 ? 4 : 8);
    if (type !== LENGTH_DELIMITED) throw protocolError(`field ${field}`, `has the unknown type ${type}`);
    const length = readVarint(bytes, tag.end);
    if (length === undefined) return undefined;
    const { value: size, end } = length;
    const isBulk = this.#tensor === undefined ? this.#layout.bytes?.includes(field) : field === DATA;
    if (isBulk === true) {
      this.#spend(end - at + size);
      this.#target = this.#place(this.#tensor?.field ?? field, size);
      this.#filled = 0;
      if (this.#tensor === undefined) this.#bytes.set(field, this.#target);
      else this.#tensor.data = this.#target;
      if (size === 0) this.#close();
    } else if (this.#tensor === undefined && this.#layout.tensors?.includes(field) === true) {
      this.#spend(end - at + size);
      this.#left += size; // spent by the fields of the tensor
      this.#tensor = { field, fields: [], data: NOTHING, left: size };
      this.#close();
    } else {
      return this.#keep(bytes, at, end, size);
    }
    return end;
  }

  /** Keeps the field from `at` to `end`, and the `more` bytes behind it, which may not have come. */
  #keep(bytes: Uint8Array, at: number, end: number, more: number): number {
    this.#spend(end - at + more);
    const field = new Uint8Array(end - at + more);
    field.set(bytes.subarray(at, end));
    (this.#tensor?.fields ?? this.#rest).push(field);
    this.#target = field;
    this.#filled = end - at;
    if (more === 0) this.#close();
    return end;
  }

  #spend(bytes: number): void {
    this.#left -= bytes;
    if (this.#tensor !== undefined) this.#tensor.left -= bytes;
    if (this.#left < 0 || (this.#tensor !== undefined && this.#tensor.left < 0)) {
      throw protocolError("a field", "is longer than its message");
    }
  }

  /** Ends a field, and its tensor if it was the last. */
  #close(): void {
    this.#target = NOTHING;
    this.#filled = 0;
    if (this.#tensor?.left === 0) {
      const { field, fields, data } = this.#tensor;
      this.#tensors.push({ field, message: fromBinary(TensorSchema, concat(fields)), data });
      this.#tensor = undefined;
    }
  }
}
