/** The element types of tensors. */

import { DataType } from "../gen/evenkeel/v1/tensor_ops_pb.js";

/** The type of a tensor's elements. */
export type DType = "float32" | "float64" | "float16" | "bfloat16";

/** The arrays that hold elements. The two types of 16 bits are kept as their bits, since not every engine has arrays of them. */
export interface Elements {
  /** IEEE 754 binary32. */
  float32: Float32Array;
  /** IEEE 754 binary64. */
  float64: Float64Array;
  /** The bits of IEEE 754 binary16. */
  float16: Uint16Array;
  /** The upper 16 bits of binary32. */
  bfloat16: Uint16Array;
}

/** The type of `mean` and `rstd`: float64 for float64 input, else float32. */
export type StatisticDType<D extends DType> = D extends "float64" ? "float64" : "float32";

const WIRE = {
  float32: DataType.FLOAT32,
  float64: DataType.FLOAT64,
  float16: DataType.FLOAT16,
  bfloat16: DataType.BFLOAT16,
} as const satisfies Record<DType, DataType>;

const SIZE = { float32: 4, float64: 8, float16: 2, bfloat16: 2 } as const satisfies Record<DType, number>;

/** All element types. */
export const DTYPES: readonly DType[] = ["float32", "float64", "float16", "bfloat16"];

/** Whether a value names an element type. */
export function isDType(value: unknown): value is DType {
  return DTYPES.some((dtype) => dtype === value);
}

/** The number of bytes of an element. */
export function sizeOf(dtype: DType): number {
  return SIZE[dtype];
}

export function dtypeToWire(dtype: DType): DataType {
  return WIRE[dtype];
}

/** `undefined`: a type that this client does not know. */
export function dtypeFromWire(wire: DataType): DType | undefined {
  return DTYPES.find((dtype) => WIRE[dtype] === wire);
}

const ARRAYS: { readonly [D in DType]: new (buffer: ArrayBufferLike, offset: number, length: number) => Elements[D] } =
  {
    float32: Float32Array,
    float64: Float64Array,
    float16: Uint16Array,
    bfloat16: Uint16Array,
  };

/** The elements that bytes are: a view where they are aligned, else a copy. */
export function elementsOf<D extends DType>(dtype: D, bytes: Uint8Array): Elements[D] {
  const size = SIZE[dtype];
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  return new ARRAYS[dtype](aligned.buffer, aligned.byteOffset, aligned.byteLength / size);
}
