// Gradients as arrows, before and after clipping: an arrow for each two neighbouring elements.

import { brief } from "./numbers.js";
import { svg } from "./svg.js";

const SIZE = 260;
const MIDDLE = SIZE / 2;
const MOST = 40;
const POINTS = 96;

/** Neighbouring elements in pairs; the last of an odd number stands alone, along the first axis. */
export function pairs(tensors) {
  const all = tensors.flatMap((values) => {
    const own = [];
    for (let i = 0; i < values.length && own.length < MOST; i += 2) own.push([values[i], values[i + 1] ?? 0]);
    return own;
  });
  return all.slice(0, MOST);
}

/** The set of all pairs whose norm of this order is at most `limit`, as a path around it; order infinity is a square. */
function ball(order, limit, scale) {
  const round = Array.from({ length: POINTS }, (_, i) => {
    const angle = (2 * Math.PI * i) / POINTS + Math.PI / 4;
    const [x, y] = [Math.cos(angle), Math.sin(angle)];
    const norm = order === Infinity ? Math.max(Math.abs(x), Math.abs(y)) : (Math.abs(x) ** order + Math.abs(y) ** order) ** (1 / order);
    return `${(MIDDLE + (x / norm) * limit * scale).toFixed(1)},${(MIDDLE - (y / norm) * limit * scale).toFixed(1)}`;
  });
  return `M${round.join("L")}Z`;
}

/** Draws the arrows of tensors before and after, and the limit: by a norm of an order, or by value (`order` is infinity). */
export function drawArrows(figure, before, after, { limit, order, words }) {
  figure.setAttribute("viewBox", `0 0 ${SIZE} ${SIZE}`);
  const [from, to] = [pairs(before), pairs(after)];
  const finite = [...from.flat(), ...to.flat()].map(Math.abs).filter(Number.isFinite);
  const reach = Math.max(...finite, Number.isFinite(limit) ? limit : 0, 1e-300);
  const scale = (MIDDLE - 16) / reach;
  const line = (x1, y1, x2, y2) => svg("line", { x1, y1, x2, y2, class: "base" });
  const drawn = [line(0, MIDDLE, SIZE, MIDDLE), line(MIDDLE, 0, MIDDLE, SIZE)];
  if (Number.isFinite(limit)) drawn.push(svg("path", { d: ball(order, limit, scale), class: "limit" }));
  drawn.push(...from.map((pair) => arrow(pair, scale, "before")).filter(Boolean));
  drawn.push(...to.map((pair) => arrow(pair, scale, "after")).filter(Boolean));
  figure.replaceChildren(...drawn);
  const text = (list) => list.map((pair) => pair.join(",")).join(";");
  Object.assign(figure.dataset, { before: text(from), after: text(to), limit, order });
  figure.setAttribute("aria-label", `${words}: ${to.length} arrows after clipping at ${brief(limit)}: ${list(to)}; before: ${list(from)}`);
}

const list = (all) => all.slice(0, 6).map(([x, y]) => `(${brief(x)}, ${brief(y)})`).join(" ");

/** An arrow from the middle, with a head as long as there is room for. */
function arrow([x, y], scale, name) {
  const length = Math.hypot(x, y) * scale;
  if (!Number.isFinite(length)) return null;
  const [ex, ey] = [MIDDLE + x * scale, MIDDLE - y * scale];
  const angle = Math.atan2(ey - MIDDLE, ex - MIDDLE);
  const head = Math.min(9, length);
  const side = (turn) => `${(ex - head * Math.cos(angle + turn)).toFixed(1)},${(ey - head * Math.sin(angle + turn)).toFixed(1)}`;
  const tip = `${ex.toFixed(1)},${ey.toFixed(1)}`;
  return svg("g", { class: `arrow ${name}` },
    svg("path", { class: "shaft", d: `M${MIDDLE},${MIDDLE}L${tip}` }),
    svg("path", { d: `M${side(0.42)}L${tip}L${side(-0.42)}` }));
}
