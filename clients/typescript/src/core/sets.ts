/** How many sets of elements a normalization pools, for the size of its statistics. */

import type { PoolOptions } from "./normalize-options.js";

/** The axes that are left in place, or `undefined` for options that the server refuses. */
function kept(shape: readonly number[], { kind, axes, channelAxis = 1 }: PoolOptions): number[] | undefined {
  const rank = shape.length;
  const at = (axis: number): number => (axis < 0 ? axis + rank : axis);
  const all = shape.map((_, axis) => axis);
  if (axes !== undefined && axes.length > 0) {
    const pooled = axes.map(at);
    if (kind === "group") pooled.push(at(channelAxis));
    return pooled.every((axis) => axis >= 0 && axis < rank) ? all.filter((axis) => !pooled.includes(axis)) : undefined;
  }
  switch (kind) {
    case "batch":
      return [at(channelAxis)];
    case "layer":
    case "rms":
      return rank <= 3 ? all.slice(0, -1) : [0];
    case "instance":
      return [0, at(channelAxis)];
    case "group":
      return [0];
    case "l2":
      return all.filter((axis) => axis !== Math.min(1, rank - 1));
  }
}

/** The number of sets; the number of elements where it is not known. */
export function countSets(shape: readonly number[], options: PoolOptions): number {
  const elements = shape.reduce((product, dim) => product * dim, 1);
  const sets = kept(shape, options)?.reduce((product, axis) => product * (shape[axis] ?? elements), 1) ?? elements;
  return options.kind === "group" ? sets * (options.groups ?? 1) : sets;
}
