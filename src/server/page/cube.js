// The cube as the literature draws it (Wu and He, Group Normalization, figure 2), which can be turned: cells of glass, and in
// colour those of one set.

import { cells } from "./cells.js";
import { svg } from "./svg.js";

const WIDTH = 440;
const HEIGHT = 330;
const STEP = 10;
const START = { yaw: 45, pitch: 28 };
const STEEPEST = 85;
const radians = (degrees) => (degrees * Math.PI) / 180;

export class Cube {
  #figure;
  #angles = { ...START };
  #cells = null;
  #set = 0;

  /** `figure`: an svg element, which gets the keys and the mouse. */
  constructor(figure) {
    this.#figure = figure;
    figure.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    figure.addEventListener("keydown", (event) => this.#key(event));
    figure.addEventListener("pointerdown", (event) => this.#drag(event));
  }

  /** Draws a tensor of this shape, and its set number `set` of those that `cells` finds. */
  show(shape, pooled, set) {
    this.#cells = shape.includes(0) || shape.length === 0 ? null : cells(shape, pooled);
    this.#set = set;
    this.#draw();
    return this.#cells;
  }

  /** Turns by so many steps to the right and up. */
  turn(right, up) {
    const { yaw, pitch } = this.#angles;
    this.#angles = { yaw: (yaw + right + 360) % 360, pitch: Math.max(-STEEPEST, Math.min(STEEPEST, pitch + up)) };
    this.#draw();
  }

  /** Turns by a named step: `left`, `right`, `up`, `down`, or `reset`. */
  step(name) {
    if (name === "reset") this.#angles = { ...START };
    const [right, up] = { left: [-STEP, 0], right: [STEP, 0], up: [0, STEP], down: [0, -STEP], reset: [0, 0] }[name];
    this.turn(right, up);
  }

  #key(event) {
    const name = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down", Home: "reset" }[event.key];
    if (name === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.step(name);
  }

  #drag(begin) {
    let last = begin;
    const move = (event) => {
      this.turn((event.clientX - last.clientX) / 2, (event.clientY - last.clientY) / 2);
      last = event;
    };
    this.#figure.setPointerCapture(begin.pointerId);
    this.#figure.addEventListener("pointermove", move);
    const end = () => this.#figure.removeEventListener("pointermove", move);
    this.#figure.addEventListener("pointerup", end, { once: true });
    this.#figure.addEventListener("pointercancel", end, { once: true });
  }

  #draw() {
    const figure = this.#figure;
    figure.replaceChildren();
    Object.assign(figure.dataset, { yaw: this.#angles.yaw.toFixed(1), pitch: this.#angles.pitch.toFixed(1), cells: 0 });
    if (this.#cells !== null) figure.append(...new Drawing(this.#cells, this.#set, this.#angles).parts(figure.dataset));
  }
}

/** One view of the cells. N goes back to the right, C back to the left, the places go down. */
class Drawing {
  constructor(shown, set, { yaw, pitch }) {
    this.cells = shown;
    this.set = set;
    const [a, b] = [radians(yaw), radians(pitch)];
    const [n, c, s] = shown.size;
    const tall = Math.max(n, c, 3) / s;
    // The length of a cell along each side; thin cells where a side has many.
    this.unit = [1, 1, Math.max(0.3, Math.min(1, tall))];
    // For each side, the step of one cell to the right, down, and towards the reader.
    const sides = [
      [Math.cos(a), -Math.sin(a) * Math.sin(b), -Math.sin(a) * Math.cos(b)],
      [-Math.sin(a), -Math.cos(a) * Math.sin(b), -Math.cos(a) * Math.cos(b)],
      [0, Math.cos(b), -Math.sin(b)],
    ];
    this.axes = sides.map((side, i) => side.map((length) => length * this.unit[i]));
    const radius = Math.hypot(n, c, s * this.unit[2]) / 2;
    this.scale = Math.min((HEIGHT / 2 - 20) / radius, 52);
  }

  /** The place of a corner of the grid on the paper, and how near it is. */
  point(corner) {
    const centred = corner.map((at, side) => at - this.cells.size[side] / 2);
    const along = (k) => centred.reduce((sum, at, side) => sum + at * this.axes[side][k], 0);
    return [WIDTH / 2 + along(0) * this.scale, HEIGHT / 2 + along(1) * this.scale, along(2)];
  }

  /** The corners of a cell's face: across `side`, at its far end if `far` is 1. */
  face(cell, side, far) {
    const [u, v] = [0, 1, 2].filter((other) => other !== side);
    const corner = (du, dv) => {
      const at = [...cell];
      at[side] += far;
      at[u] += du;
      at[v] += dv;
      return this.point(at).slice(0, 2).map((x) => x.toFixed(1)).join(",");
    };
    return [corner(0, 0), corner(1, 0), corner(1, 1), corner(0, 1)];
  }

  isIn(cell) {
    const inside = cell.every((at, side) => at >= 0 && at < this.cells.size[side]);
    return inside && this.cells.sets.length > 0 && this.cells.at(...cell) === this.set;
  }

  /** All cells, those at the back first. */
  *backToFront() {
    const order = this.cells.size.map((length, side) => {
      const indices = [...Array(length).keys()];
      return this.axes[side][2] > 0 ? indices : indices.reverse();
    });
    for (const n of order[0]) for (const c of order[1]) for (const s of order[2]) yield [n, c, s];
  }

  parts(dataset) {
    const walls = { back: [], front: [] };
    const coloured = [];
    let inSet = 0;
    for (const cell of this.backToFront()) {
      const isIn = this.isIn(cell);
      inSet += isIn ? 1 : 0;
      for (let side = 0; side < 3; side += 1) {
        const depth = this.axes[side][2];
        for (const far of [0, 1]) {
          const isWall = cell[side] === (far === 1 ? this.cells.size[side] - 1 : 0);
          const isNear = far === 1 ? depth > 1e-9 : depth < -1e-9;
          const beside = [...cell];
          beside[side] += far === 1 ? 1 : -1;
          if (isIn && isNear && !this.isIn(beside)) coloured.push([this.face(cell, side, far), side, isWall]);
          else if (isWall && !isIn) walls[isNear ? "front" : "back"].push(this.face(cell, side, far));
        }
      }
    }
    dataset.cells = inSet;
    const path = (faces) => faces.map((corners) => `M${corners.join("L")}Z`).join("");
    const polygon = ([corners, side]) => svg("polygon", { points: corners.join(" "), class: `in-set side-${side}` });
    return [
      svg("path", { class: "glass back", d: path(walls.back) }),
      ...coloured.filter(([, , isWall]) => !isWall).map(polygon),
      svg("path", { class: "glass front", d: path(walls.front) }),
      ...coloured.filter(([, , isWall]) => isWall).map(polygon),
      ...[0, 1, 2].map((side) => this.label(side)).filter(Boolean),
    ];
  }

  /** The label of a side, beside the edge of the cube that is farthest out: the lowest, or of the places the leftmost. */
  label(side) {
    const text = this.cells.labels[side];
    if (text === "") return null;
    const [u, v] = [0, 1, 2].filter((other) => other !== side);
    const middles = [[0, 0], [0, 1], [1, 0], [1, 1]].map(([du, dv]) => {
      const corner = [0, 0, 0];
      corner[side] = this.cells.size[side] / 2;
      corner[u] = du * this.cells.size[u];
      corner[v] = dv * this.cells.size[v];
      return this.point(corner);
    });
    if (side === 2) {
      // The places go straight down: their label stands upright beside them, as in the literature.
      const [x, y] = middles.reduce((best, middle) => (middle[0] < best[0] - 1e-6 ? middle : best));
      const at = `translate(${(x - 12).toFixed(1)} ${y.toFixed(1)}) rotate(-90)`;
      return svg("text", { transform: at, "text-anchor": "middle", class: "axis" }, text);
    }
    const [x, y] = middles.reduce((best, middle) => (middle[1] > best[1] + 1e-6 ? middle : best));
    const [dx, dy] = [x - WIDTH / 2, y - HEIGHT / 2];
    const away = 18 / Math.max(1, Math.hypot(dx, dy));
    const anchor = Math.abs(dx) < 20 ? "middle" : dx > 0 ? "start" : "end";
    const at = { x: (x + dx * away).toFixed(1), y: (y + dy * away + 5).toFixed(1) };
    return svg("text", { ...at, "text-anchor": anchor, class: "axis" }, text);
  }
}
