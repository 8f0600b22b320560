// The mask of a dropout as a picture: a square for each draw.

import { product } from "./numbers.js";

/** The most squares along a side. */
const MOST = 256;
/** The picture's least width, in pixels of the canvas. */
const WIDTH = 320;

/** Whether draw `i` keeps its elements: the bits of the mask come least significant first. */
export const isKept = (mask, i) => ((mask[i >> 3] >> (i & 7)) & 1) === 1;

/** The shape of the draws: that of the input, or (N, C) where one draw decides for a channel. */
export function drawsOf(kind, shape, channelAxis) {
  if (!/CHANNEL|FEATURE/.test(kind)) return shape;
  const axis = channelAxis < 0 ? channelAxis + shape.length : channelAxis;
  return [shape[0] ?? 1, shape[axis] ?? 1];
}

/** Rows and columns of the picture: a row has the elements of whole trailing axes where that gives a good shape. */
export function grid(draws) {
  const count = product(draws);
  const best = Math.sqrt(1.5 * count);
  const far = (columns) => Math.abs(Math.log(columns / best));
  const rows = draws.map((_, axis) => product(draws.slice(axis))).filter((columns) => columns > 0 && columns <= MOST);
  const columns = rows.reduce((one, other) => (far(other) < far(one) ? other : one), Infinity);
  const chosen = far(columns) < Math.log(5) ? columns : Math.max(1, Math.min(MOST, Math.ceil(best)));
  return { count, columns: chosen, rows: Math.ceil(count / chosen) };
}

/** Draws the mask into a canvas, in the canvas's own colours: `color` is kept, `background-color` dropped. Returns what is shown. */
export function drawMask(canvas, mask, draws) {
  const { count, columns, rows } = grid(draws);
  const [wide, high] = [Math.min(columns, MOST), Math.min(rows, MOST)];
  const square = Math.max(1, Math.floor(WIDTH / wide));
  canvas.width = wide * square;
  canvas.height = high * square;
  const colours = getComputedStyle(canvas);
  const context = canvas.getContext("2d");
  context.fillStyle = colours.backgroundColor;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = colours.color;
  const gap = square >= 6 ? 1 : 0;
  let kept = 0;
  for (let row = 0; row < high; row += 1) {
    for (let column = 0; column < wide; column += 1) {
      const i = row * columns + column;
      if (i < count && isKept(mask, i)) {
        kept += 1;
        context.fillRect(column * square, row * square, square - gap, square - gap);
      }
    }
  }
  Object.assign(canvas.dataset, { rows: high, columns: wide, square, kept });
  return { shown: wide * high >= count, rows: high, columns: wide };
}
