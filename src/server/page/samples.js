// The tensors that the page begins with, and random ones.

/** A generator of uniform numbers in [0, 1): mulberry32. */
function uniform(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Normal numbers whose mean and spread differ from channel to channel (axis 1), as activations do. */
export function activations(shape, seed) {
  const next = uniform(seed);
  const inner = shape.slice(2).reduce((all, length) => all * length, 1);
  const channels = shape[1] ?? 1;
  return Array.from({ length: shape.reduce((all, length) => all * length, 1) }, (_, i) => {
    const channel = Math.floor(i / inner) % channels;
    const normal = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
    return 3 * (channel % 4) - 2 + normal * (1 + (channel % 3));
  });
}

/** Random numbers that differ each time. */
export const random = (shape) => activations(shape, Math.floor(Math.random() * 2 ** 31));

/** The input of the first call. */
export const INPUT = { shape: "4, 4, 2, 2", values: activations([4, 4, 2, 2], 7).map((x) => x.toFixed(1)).join(", ") };

/** The gradients of the first call. */
export const GRADIENTS = [
  { name: "weight", shape: "2, 2", values: "3, 4, -2, 1.5" },
  { name: "bias", shape: "2", values: "0.5, -3.5" },
];
