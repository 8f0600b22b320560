/** Tensors: dense arrays in row-major order. */

import { list, refuse, shown } from "./arguments.js";
import { isDType, type DType, type Elements } from "./dtype.js";
import { InvalidArgumentError } from "./errors.js";
import { converted, rounds } from "./half.js";

/** An engine's own array of float16, where there is one; named by its tag, since older type libraries do not have it. */
export interface Float16Elements {
  /** The name of the engine's class. */
  readonly [Symbol.toStringTag]: "Float16Array";
  /** The memory that has the elements. */
  readonly buffer: ArrayBufferLike;
  /** Where the first element begins in it. */
  readonly byteOffset: number;
  /** The number of elements. */
  readonly length: number;
}

/** Numbers, nested as deep as the tensor has dimensions: `[[1, 2], [3, 4]]`. */
export type Nested = readonly (number | Nested)[];

/** What calls take as a tensor: arrays of elements are tensors of one dimension. */
export type TensorLike = Tensor | Float32Array | Float64Array | Float16Elements;

/** The element type of a {@link TensorLike}. */
export type DTypeOf<T> =
  T extends Tensor<infer D>
    ? D
    : T extends Float32Array
      ? "float32"
      : T extends Float64Array
        ? "float64"
        : T extends Float16Elements
          ? "float16"
          : never;

/** The wire has little-endian elements, and so has nearly every machine. */
const IS_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/**
 * A dense tensor in row-major order. Made by {@link tensor}.
 *
 * Calls send the bytes of `data` without a copy: leave them as they are until the call has ended. The `data` of a result belongs to
 * the caller alone.
 */
export class Tensor<D extends DType = DType> {
  /** The type of the elements. */
  readonly dtype: D;
  /** The dimensions, outermost first; empty for a scalar. */
  readonly shape: readonly number[];
  /** The elements. Those of float16 and bfloat16 are their bits. */
  readonly data: Elements[D];

  /** @internal Use {@link tensor}. */
  constructor(dtype: D, shape: readonly number[], data: Elements[D]) {
    this.dtype = dtype;
    this.shape = Object.freeze([...shape]);
    this.data = data;
  }

  /** The number of elements. */
  get size(): number {
    return this.data.length;
  }

  /** The same elements in another type, rounded to nearest, ties to even. A copy, also if the type is the same. */
  to<E extends DType>(dtype: E): Tensor<E> {
    checkDType(dtype);
    return new Tensor(dtype, this.shape, converted(this.dtype, this.data, dtype));
  }

  /** The elements as numbers, in row-major order. */
  toNumbers(): number[] {
    return Array.from(converted(this.dtype, this.data, "float64"));
  }

  /** The bytes of the elements: a view, not a copy. */
  get bytes(): Uint8Array {
    return new Uint8Array(this.data.buffer, this.data.byteOffset, this.data.byteLength);
  }
}

/**
 * A tensor whose elements are those of the array, without a copy.
 *
 * @param data - The elements in row-major order.
 * @param shape - The dimensions, outermost first. Default: one dimension.
 * @throws {@link InvalidArgumentError} if the shape does not fit the elements.
 */
export function tensor(data: Float32Array, shape?: readonly number[]): Tensor<"float32">;
export function tensor(data: Float64Array, shape?: readonly number[]): Tensor<"float64">;
export function tensor(data: Float16Elements, shape?: readonly number[]): Tensor<"float16">;
/** A tensor whose elements have these bits, without a copy. */
export function tensor<D extends "float16" | "bfloat16">(
  bits: Uint16Array,
  shape: readonly number[] | undefined,
  dtype: D,
): Tensor<D>;
/** A tensor of numbers, each rounded to the type; the nesting gives the shape, unless one is given. Default: float32. */
export function tensor<D extends DType = "float32">(numbers: Nested, shape?: readonly number[], dtype?: D): Tensor<D>;
export function tensor(
  data: Float32Array | Float64Array | Float16Elements | Uint16Array | Nested,
  shape?: readonly number[],
  dtype?: DType,
): Tensor {
  checkDType(dtype);
  if (isNested(data)) {
    const numbers: number[] = [];
    const nesting = flatten(data, numbers, []);
    return shaped(dtype ?? "float32", rounds(numbers, dtype ?? "float32"), shape ?? nesting);
  }
  const [own, elements] = typed(data, dtype);
  if (dtype !== undefined && dtype !== own)
    refuse("dtype", `the elements are ${own}, not ${dtype}; convert them with to()`);
  return shaped(own, elements, shape ?? [elements.length]);
}

function checkDType(dtype: unknown): void {
  if (dtype !== undefined && !isDType(dtype)) refuse("dtype", `there is no type ${shown(dtype)}`);
}

function isNested(data: unknown): data is Nested {
  return Array.isArray(data);
}

/** The type of an array's elements, and the elements. */
function typed(data: unknown, dtype: DType | undefined): [DType, Elements[DType]] {
  if (data instanceof Float32Array) return ["float32", data];
  if (data instanceof Float64Array) return ["float64", data];
  if (data instanceof Uint16Array) {
    if (dtype === "float16" || dtype === "bfloat16") return [dtype, data];
    refuse("dtype", 'a Uint16Array has bits: say "float16" or "bfloat16"');
  }
  if (isFloat16Array(data)) return ["float16", new Uint16Array(data.buffer, data.byteOffset, data.length)];
  refuse("data", `expected a Float32Array, Float64Array, Float16Array, Uint16Array or numbers, got ${shown(data)}`);
}

function isFloat16Array(data: unknown): data is Float16Elements {
  return ArrayBuffer.isView(data) && Object.prototype.toString.call(data) === "[object Float16Array]";
}

/** Collects nested numbers; returns their shape. */
function flatten(nested: Nested, numbers: number[], path: readonly number[]): number[] {
  let inner: number[] | undefined;
  nested.forEach((item, index) => {
    const here = [...path, index];
    let found: number[];
    if (typeof item === "number") {
      numbers.push(item);
      found = [];
    } else if (Array.isArray(item)) {
      found = flatten(item as Nested, numbers, here);
    } else {
      refuse(`data[${here.join("][")}]`, `expected a number, got ${shown(item)}`);
    }
    if (inner !== undefined && (inner.length !== found.length || inner.some((dim, axis) => dim !== found[axis]))) {
      refuse(
        `data[${here.join("][")}]`,
        `expected the shape of its neighbours, [${inner.join(", ")}], got [${found.join(", ")}]`,
      );
    }
    inner = found;
  });
  return [nested.length, ...(inner ?? [])];
}

function shaped<D extends DType>(dtype: D, data: Elements[D], shape: readonly number[]): Tensor<D> {
  if (!IS_LITTLE_ENDIAN) refuse("data", "this machine is big-endian, which the client does not support");
  list("shape", shape).forEach((dim: unknown, axis) => {
    if (typeof dim !== "number" || !Number.isSafeInteger(dim) || dim < 0) {
      refuse(`shape[${axis}]`, `expected an integer that is not negative, got ${shown(dim)}`);
    }
  });
  const size = shape.reduce((product, dim) => product * dim, 1);
  if (size !== data.length) {
    refuse("shape", `[${shape.join(", ")}] has ${size} elements, and the data have ${data.length}`);
  }
  return new Tensor(dtype, shape, data);
}

/** The tensor of an argument, whose name its errors have. */
export function asTensor<T extends TensorLike>(path: string, value: T): Tensor<DTypeOf<T>> {
  return within(path, () => {
    const found: Tensor = value instanceof Tensor ? value : tensor(value as Float32Array);
    // The memory of an array goes away if it is transferred to another thread.
    if (found.size !== found.shape.reduce((product, dim) => product * dim, 1)) {
      refuse("data", `the array has ${found.size} elements; it was transferred to another thread, or resized`);
    }
    return found as Tensor<DTypeOf<T>>;
  });
}

/** Does something whose errors are of a part of an argument. */
function within<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    const [violation] = error.fields;
    refuse(`${path}.${violation?.path ?? ""}`, violation?.description ?? error.message);
  }
}
