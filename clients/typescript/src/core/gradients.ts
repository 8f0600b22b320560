/** Gradients as arguments: named in an object or a map, or in an array. */

import { refuse, shown } from "./arguments.js";
import { asTensor, Tensor, type DTypeOf, type TensorLike } from "./tensor.js";

/** Gradients by the names of their parameters, or in order. */
export type Gradients =
  readonly TensorLike[] | ReadonlyMap<string, TensorLike> | { readonly [name: string]: TensorLike };

/** Tensors in the place of gradients: with the same names, or in the same order. */
export type LikeGradients<G extends Gradients> =
  G extends ReadonlyMap<string, infer T>
    ? Map<string, Tensor<DTypeOf<T>>>
    : { -readonly [K in keyof G]: Tensor<DTypeOf<G[K]>> };

/** Numbers in the place of gradients. */
export type NumberOfEach<G extends Gradients> =
  G extends ReadonlyMap<string, TensorLike> ? Map<string, number> : { -readonly [K in keyof G]: number };

/** A gradient and its name, which may be empty. */
export interface Named {
  readonly name: string;
  readonly tensor: Tensor;
}

function checkName(name: unknown): asserts name is string {
  if (typeof name !== "string") refuse("gradients", `expected a text as a name, got ${shown(name)}`);
  // The wire has UTF-8, which half a character has not.
  if (/\p{Surrogate}/u.test(name)) refuse("gradients", `the name ${shown(name)} is not well-formed Unicode`);
}

/** The gradients in order. */
export function listed(gradients: Gradients): Named[] {
  if (
    typeof gradients !== "object" ||
    (gradients as object | null) === null ||
    gradients instanceof Tensor ||
    ArrayBuffer.isView(gradients)
  ) {
    refuse("gradients", `expected an array, a map or an object of tensors, got ${shown(gradients)}`);
  }
  const entries: [string, TensorLike][] = Array.isArray(gradients)
    ? (gradients as TensorLike[]).map((gradient) => ["", gradient])
    : gradients instanceof Map
      ? [...(gradients as Map<string, TensorLike>)]
      : Object.entries(gradients as Record<string, TensorLike>);
  return entries.map(([name, gradient], index) => {
    checkName(name);
    return { name, tensor: asTensor(`gradients[${index}]`, gradient) };
  });
}

/** Values in the place of the gradients, in their order. */
export function inPlace(gradients: Gradients, values: readonly unknown[]): unknown {
  if (Array.isArray(gradients)) return [...values];
  const names = gradients instanceof Map ? [...(gradients as Map<string, TensorLike>).keys()] : Object.keys(gradients);
  const entries = values.map((value, index): [string, unknown] => [names[index] ?? "", value]);
  return gradients instanceof Map ? new Map(entries) : Object.fromEntries(entries);
}
