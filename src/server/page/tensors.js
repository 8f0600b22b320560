// The tensors of an answer.

import { DTYPES, decode, fromBase64, fromJson } from "./numbers.js";

/** The elements of a tensor in protobuf's JSON. */
export function elementsOf(tensor) {
  if (tensor?.floatData) return Float64Array.from(tensor.floatData, fromJson);
  const dtype = Object.keys(DTYPES).find((name) => DTYPES[name].wire === tensor?.dtype) ?? "float32";
  return decode(dtype, fromBase64(tensor?.data ?? ""));
}

/** All elements of several tensors, one after the other. */
export function joined(tensors) {
  const all = new Float64Array(tensors.reduce((sum, values) => sum + values.length, 0));
  let at = 0;
  for (const values of tensors) {
    all.set(values, at);
    at += values.length;
  }
  return all;
}
