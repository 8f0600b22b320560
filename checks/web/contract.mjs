// The contract, read from the descriptors in the repository, so that no code has to be generated.
import { readFileSync } from "node:fs";
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

const bytes = readFileSync(new URL("../../crates/proto/src/generated/evenkeel.v1.binpb", import.meta.url));
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes));

export const TensorOpsService = registry.getService("evenkeel.v1.TensorOpsService");

/** DataType, NormKind and ClipMode, as far as the checks need them. */
export const FLOAT32 = registry.getEnum("evenkeel.v1.DataType").values.find((value) => value.name === "DATA_TYPE_FLOAT32").number;
export const LAYER = registry.getEnum("evenkeel.v1.NormKind").values.find((value) => value.name === "NORM_KIND_LAYER").number;
export const NORM = registry.getEnum("evenkeel.v1.ClipMode").values.find((value) => value.name === "CLIP_MODE_NORM").number;

/** A float32 tensor. */
export const tensor = (shape, elements) => {
  const data = new Uint8Array(elements.length * 4);
  const view = new DataView(data.buffer);
  elements.forEach((element, index) => view.setFloat32(index * 4, element, true));
  return { dtype: FLOAT32, shape: shape.map(BigInt), data };
};

/** The elements of a float32 tensor. */
export const elements = ({ data }) => {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return Array.from({ length: data.byteLength / 4 }, (_, index) => view.getFloat32(index * 4, true));
};
