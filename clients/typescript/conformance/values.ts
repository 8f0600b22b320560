/** Values of the protocol of conformance/README.md. */

import { createHash } from "node:crypto";

import { tensor, Tensor, type DType } from "@evenkeel/client";

/** A tensor as the protocol has it. */
export interface TensorJson {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: string;
  readonly repeat?: number;
  readonly name?: string;
  readonly layout?: string;
}

/** What this client cannot do. */
export class Unsupported extends Error {}

export function fromBase64(text: string): Uint8Array {
  // A copy, since Node's pool lends parts of an array.
  return Uint8Array.from(Buffer.from(text, "base64"));
}

export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

/** A float64 that JSON may not have. */
export function toNumber(value: number | string): number {
  return Number(value);
}

export function numberToJson(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}

export function toTensor({ dtype, shape, data, repeat = 1, layout }: TensorJson): Tensor {
  if (layout !== undefined) throw new Unsupported("JavaScript's arrays have neither strides nor a byte order");
  const once = fromBase64(data);
  const bytes = new Uint8Array(once.length * repeat);
  for (let at = 0; at < bytes.length; at += once.length) bytes.set(once, at);
  switch (dtype) {
    case "float32":
      return tensor(new Float32Array(bytes.buffer), shape);
    case "float64":
      return tensor(new Float64Array(bytes.buffer), shape);
    case "float16":
    case "bfloat16":
      return tensor(new Uint16Array(bytes.buffer), shape, dtype);
  }
}

export function tensorToJson({ dtype, shape, bytes }: Tensor, digest: boolean): object {
  return digest
    ? { dtype, shape, sha256: createHash("sha256").update(bytes).digest("hex") }
    : { dtype, shape, data: toBase64(bytes) };
}
