// Histograms of the elements before and after.

import { brief } from "./numbers.js";
import { svg } from "./svg.js";

const WIDTH = 320;
const HEIGHT = 132;
const EDGE = { left: 8, right: 8, top: 8, bottom: 22 };

/** What a histogram shows: the counts of equal bins, the range, mean and standard deviation of the finite elements, and the number of others. */
export function summary(values) {
  let [count, sum, min, max, others] = [0, 0, Infinity, -Infinity, 0];
  for (const x of values) {
    if (!Number.isFinite(x)) {
      others += 1;
      continue;
    }
    count += 1;
    sum += x;
    if (x < min) min = x;
    if (x > max) max = x;
  }
  const mean = sum / count;
  let squares = 0;
  for (const x of values) if (Number.isFinite(x)) squares += (x - mean) ** 2;
  const bins = Math.max(8, Math.min(40, Math.ceil(2 * Math.sqrt(count))));
  const width = max > min ? (max - min) / bins : 1;
  const first = max > min ? min : min - bins / 2;
  const counts = Array(bins).fill(0);
  for (const x of values) {
    if (Number.isFinite(x)) counts[Math.min(bins - 1, Math.max(0, Math.floor((x - first) / width)))] += 1;
  }
  return { count, others, min, max, mean, std: Math.sqrt(squares / count), counts, first, width };
}

/** Draws the histogram of `values` into an svg element. */
export function drawHistogram(figure, values, words) {
  figure.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  const seen = summary(values);
  const { count, others, min, max, mean, std, counts, first, width } = seen;
  Object.assign(figure.dataset, { counts: counts.join(","), min, max, mean, std, others });
  if (count === 0) {
    figure.replaceChildren(svg("text", { x: WIDTH / 2, y: HEIGHT / 2, "text-anchor": "middle", class: "axis" }, "no finite elements"));
    figure.setAttribute("aria-label", `${words}: no finite elements`);
    return seen;
  }
  const [wide, high] = [WIDTH - EDGE.left - EDGE.right, HEIGHT - EDGE.top - EDGE.bottom];
  const base = EDGE.top + high;
  const most = Math.max(...counts);
  const x = (value) => EDGE.left + ((value - first) / (width * counts.length)) * wide;
  const bar = wide / counts.length;
  const bars = counts.map((number, i) => {
    const tall = (number / most) * high;
    const at = { x: (EDGE.left + i * bar + 0.5).toFixed(1), y: (base - tall).toFixed(1) };
    return svg("rect", { ...at, width: Math.max(1, bar - 1).toFixed(1), height: tall.toFixed(1), class: "bar" });
  });
  const tick = (value, anchor) => svg("text", { x: x(value).toFixed(1), y: HEIGHT - 6, "text-anchor": anchor, class: "axis" }, brief(value));
  const ends = max > min ? [tick(min, "start"), tick(max, "end")] : [tick(min, "middle")];
  const middle = svg("line", { x1: x(mean), x2: x(mean), y1: EDGE.top - 4, y2: base, class: "mean" });
  const line = svg("line", { x1: EDGE.left, x2: EDGE.left + wide, y1: base, y2: base, class: "base" });
  figure.replaceChildren(...bars, line, middle, ...ends);
  figure.setAttribute("aria-label", `${words}: ${count} elements from ${brief(min)} to ${brief(max)}, mean ${brief(mean)}, standard deviation ${brief(std)}`);
  return seen;
}
