/** Checks the tensors of answers. */

import type { Tensor as TensorMessage } from "../gen/evenkeel/v1/tensor_ops_pb.js";
import type { Landed } from "../wire/reader.js";
import { dtypeFromWire, elementsOf, sizeOf, type DType } from "./dtype.js";
import { protocolError } from "./errors.js";
import { Tensor } from "./tensor.js";

/** What is known of a tensor before it comes. */
export interface Form<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: readonly number[];
}

function isSame(shape: readonly number[], other: readonly number[]): boolean {
  return shape.length === other.length && shape.every((dim, axis) => dim === other[axis]);
}

/** Fails unless the tensor has the form; its elements are not looked at. */
export function checkForm(field: string, message: TensorMessage | undefined, { dtype, shape }: Form): void {
  if (message === undefined) throw protocolError(field, "is missing");
  if (dtypeFromWire(message.dtype) !== dtype) {
    throw protocolError(
      `${field}.dtype`,
      `is ${dtypeFromWire(message.dtype) ?? `type ${message.dtype}`} where ${dtype} is due`,
    );
  }
  const given = message.shape.map(Number);
  if (!isSame(given, shape)) {
    throw protocolError(`${field}.shape`, `is [${given.join(", ")}] where [${shape.join(", ")}] was sent`);
  }
}

/** The tensor of a message and its elements. */
export function tensorOf<D extends DType>(
  field: string,
  message: TensorMessage,
  data: Uint8Array,
  dtype: D,
): Tensor<D> {
  const shape = message.shape.map(Number);
  checkForm(field, message, { dtype, shape });
  const size = shape.reduce((product, dim) => product * dim, sizeOf(dtype));
  if (size !== data.length || message.floatData.length > 0) {
    throw protocolError(`${field}.data`, `has ${data.length} bytes, where the shape needs ${size}`);
  }
  return new Tensor(dtype, shape, elementsOf(dtype, data));
}

/** The tensor of a message that has a form. */
export function tensorLike<D extends DType>(
  field: string,
  message: TensorMessage,
  data: Uint8Array,
  form: Form<D>,
): Tensor<D> {
  checkForm(field, message, form);
  return tensorOf(field, message, data, form.dtype);
}

/** The tensors of an answer by their fields, of which each comes once at most. */
export function landedTensors({ tensors }: Landed): Map<number, { message: TensorMessage; data: Uint8Array }> {
  return new Map(tensors.map(({ field, message, data }) => [field, { message, data }]));
}
