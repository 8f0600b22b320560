// The cells of the cube: a tensor as (N, C, H, W), cut down to what can be drawn.

import { axisNames, setOf } from "./pooled.js";

/** The most cells along N, C and the places of H and W together. */
const MOST = { samples: 6, channels: 8, places: 16 };

/** Of `length` indices of an axis, those that are drawn: all, or `most` at even distances. */
function drawn(length, most) {
  const count = Math.min(length, most);
  return Array.from({ length: count }, (_, i) => Math.floor((i * length) / count));
}

/** The three sides of the cube, each a list of indices: `samples` along N, `channels` along C, and `places`, which may have several axes. */
export function sides(shape) {
  const names = axisNames(shape.length);
  const side = (axes, most) => {
    const each = Math.max(1, Math.floor(most ** (1 / Math.max(1, axes.length)) + 1e-9));
    const indices = axes.map((axis) => drawn(shape[axis], each));
    const cells = indices.reduce((all, list) => all.flatMap((head) => list.map((index) => [...head, index])), [[]]);
    const whole = axes.map((axis) => shape[axis]).join(" × ") || "1";
    const label = axes.length === 0 ? "" : `${axes.map((axis) => names[axis]).join(", ")} = ${whole}`;
    return { axes, cells, label, isWhole: indices.every((list, i) => list.length === shape[axes[i]]) };
  };
  const all = [...shape.keys()];
  // A vector lies along the channels, where the kinds that pool it find it.
  const [samples, channels, places] = shape.length === 1 ? [[], [0], []] : [all.slice(0, 1), all.slice(1, 2), all.slice(2)];
  return { samples: side(samples, MOST.samples), channels: side(channels, MOST.channels), places: side(places, MOST.places) };
}

/**
 * The cells as they are drawn, and the sets that they are in: `at(n, c, s)` is the number of a cell's set in `sets`, each of
 * which has its place (`setOf`) and its number of drawn cells.
 */
export function cells(shape, pooled) {
  const { samples, channels, places } = sides(shape);
  const numbers = new Map();
  const sets = [];
  const at = [];
  for (const n of samples.cells) {
    for (const c of channels.cells) {
      for (const s of places.cells) {
        const place = pooled.problem ? null : setOf(pooled, shape, [...n, ...c, ...s]);
        const key = String(place);
        if (!numbers.has(key)) {
          numbers.set(key, sets.length);
          sets.push({ place, drawn: 0 });
        }
        const set = numbers.get(key);
        sets[set].drawn += 1;
        at.push(set);
      }
    }
  }
  const [C, S] = [channels.cells.length, places.cells.length];
  return {
    size: [samples.cells.length, C, S],
    labels: [samples.label, channels.label, places.label],
    isWhole: samples.isWhole && channels.isWhole && places.isWhole,
    sets: pooled.problem ? [] : sets,
    at: (n, c, s) => at[(n * C + c) * S + s],
  };
}
