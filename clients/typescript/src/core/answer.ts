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

export function isSame(shape: readonly number[], other: readonly number[]): boolean {
  return shape.length === other.length && shape.every((dim, axis) => dim === other[axis]);
}

/** Fails unless the tensor has the form and the name; its elements are not looked at. */
export function checkForm(field: string, message: TensorMessage | undefined, { dtype, shape }: Form, name = ""): void {
  if (message === undefined) throw protocolError(field, "is missing");
  if (message.name !== name) throw protocolError(`${field}.name`, "is another one than was sent");
  if (dtypeFromWire(message.dtype) !== dtype) {
    throw protocolError(
      `${field}.dtype`,
      `is ${dtypeFromWire(message.dtype) ?? `type ${message.dtype}`} where ${dtype} is due`,
    );
  }
  const given = message.shape.map(Number);
  if (!isSame(given, shape)) {
    throw protocolError(`${field}.shape`, `is [${given.join(", ")}] where [${shape.join(", ")}] is due`);
  }
}

/** The tensor of a message that has a form and a name. */
export function tensorLike<D extends DType>(
  field: string,
  message: TensorMessage,
  data: Uint8Array,
  form: Form<D>,
  name = "",
): Tensor<D> {
  checkForm(field, message, form, name);
  const { dtype, shape } = form;
  const size = shape.reduce((product, dim) => product * dim, sizeOf(dtype));
  if (size !== data.length || message.floatData.length > 0) {
    throw protocolError(`${field}.data`, `has ${data.length} bytes, where the shape needs ${size}`);
  }
  return new Tensor(dtype, shape, elementsOf(dtype, data));
}

/** The tensors of an answer by their fields, of which each comes once at most. */
export function landedTensors({ tensors }: Landed): Map<number, { message: TensorMessage; data: Uint8Array }> {
  return new Map(tensors.map(({ field, message, data }) => [field, { message, data }]));
}
