/** The sets of elements that a normalization pools: what an answer must have beside the output, and how large it is. */

import type { PoolOptions } from "./normalize-options.js";

type Shape = readonly number[];

function fromStart(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

/** The axes that are pooled if none are given. */
function isPooledByDefault(kind: PoolOptions["kind"], axis: number, rank: number, channels: number): boolean {
  switch (kind) {
    case "batch":
      return axis !== channels;
    case "layer":
    case "rms":
      return axis === rank - 1 || (rank > 3 && axis > 0);
    case "instance":
      return axis > 0 && axis !== channels;
    case "group":
      return axis > 0;
    case "l2":
      return axis === Math.min(1, rank - 1);
  }
}

/** The axes that are pooled, sorted, of a tensor of this rank, if the server takes the options. */
export function pooledAxes(rank: number, { kind, axes = [], channelAxis = 1 }: PoolOptions): number[] {
  const channels = fromStart(channelAxis, rank);
  const given = axes.map((axis) => fromStart(axis, rank));
  const isPooled = (axis: number): boolean =>
    (given.length > 0 ? given.includes(axis) : isPooledByDefault(kind, axis, rank, channels)) ||
    (kind === "group" && axis === channels);
  return Array.from({ length: rank }, (_, axis) => axis).filter(isPooled);
}

/** The shape of the sets: the tensor's without the pooled axes, with the groups in place of the channels. */
export function setsShape(shape: Shape, options: PoolOptions): number[] {
  const { kind, groups = 1, channelAxis = 1 } = options;
  const pooled = pooledAxes(shape.length, options);
  const channels = kind === "group" ? fromStart(channelAxis, shape.length) : -1;
  return shape.flatMap((dim, axis) => {
    if (axis === channels) return [groups];
    return pooled.includes(axis) ? [] : [dim];
  });
}

/** The number of sets. */
export function countSets(shape: Shape, options: PoolOptions): number {
  return setsShape(shape, options).reduce((product, dim) => product * dim, 1);
}
