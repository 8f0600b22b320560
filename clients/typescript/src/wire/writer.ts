/** Writes requests: small fields by the generated code, and the elements of tensors as they lie in memory. */

import { create, toBinary, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";

import { TensorSchema } from "../gen/evenkeel/v1/tensor_ops_pb.js";
import { dtypeToWire, type DType } from "../core/dtype.js";
import type { Tensor } from "../core/tensor.js";

/** The fields of a message that is to be made. */
export type InitOf<Desc extends DescMessage> = Exclude<MessageInitShape<Desc>, { readonly $typeName: string }>;

/** The bytes of a message with gRPC's prefix, in parts that lie apart in memory. */
export interface Framed {
  readonly parts: readonly Uint8Array[];
  /** The number of bytes of the message, without the prefix. */
  readonly bytes: number;
}

/** gRPC's prefix: whether the message is compressed, and its length, big-endian. */
export const PREFIX = 5;

/** A tensor of a message, whose elements follow its description if there are any. */
export interface WireTensor {
  readonly name?: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data?: Uint8Array;
}

/** A field that is written behind those of the message: fields of tensors and bytes have the highest numbers. */
export type Bulk = readonly [field: number, value: WireTensor | Uint8Array];

/** Elements below this size are copied behind the fields before them: that is cheaper than one more part. */
const SMALL = 1 << 14;

/** The field of a tensor's elements. */
const DATA = 15;

const LENGTH_DELIMITED = 2;

/** A number as a varint, which may be beyond 32 bits. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return bytes;
}

/** Tag and length of a field of bytes; no field has a number above 15, so a tag is a byte. */
function head(field: number, length: number): Uint8Array {
  return Uint8Array.from([(field << 3) | LENGTH_DELIMITED, ...varint(length)]);
}

function describe({ name = "", dtype, shape }: WireTensor): Uint8Array {
  return toBinary(TensorSchema, create(TensorSchema, { name, dtype: dtypeToWire(dtype), shape: shape.map(BigInt) }));
}

/** A tensor with its elements. */
export function wireTensor({ dtype, shape, bytes }: Tensor, name = ""): WireTensor {
  return { name, dtype, shape, data: bytes };
}

/** Writes a message, and the bulk of it behind the fields of the generated code. */
export function frame<Desc extends DescMessage>(
  schema: Desc,
  message: InitOf<Desc>,
  bulk: readonly Bulk[] = [],
): Framed {
  const pieces: Uint8Array[] = [
    new Uint8Array(PREFIX),
    toBinary(schema, create(schema, message as MessageInitShape<Desc>)),
  ];
  for (const [field, value] of bulk) {
    if (value instanceof Uint8Array) {
      pieces.push(head(field, value.length), value);
      continue;
    }
    const description = describe(value);
    if (value.data === undefined || value.data.length === 0) {
      pieces.push(head(field, description.length), description);
    } else {
      const start = head(DATA, value.data.length);
      pieces.push(head(field, description.length + start.length + value.data.length), description, start, value.data);
    }
  }
  const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0) - PREFIX;
  const parts = joined(pieces);
  const [first] = parts;
  if (first !== undefined) new DataView(first.buffer, first.byteOffset).setUint32(1, bytes);
  return { parts, bytes };
}

/** Joins small pieces that follow each other. */
function joined(pieces: readonly Uint8Array[]): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let small: Uint8Array[] = [];
  const flush = (): void => {
    if (small.length > 0) parts.push(concat(small));
    small = [];
  };
  for (const piece of pieces) {
    if (piece.length < SMALL) {
      small.push(piece);
    } else {
      flush();
      parts.push(piece);
    }
  }
  flush();
  return parts;
}

/** All bytes in one array. */
export function concat(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
