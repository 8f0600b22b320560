// What is shown of a normalization: the cube, and the statistics of the answer.

import { brief } from "./numbers.js";
import { short } from "./operations.js";
import { Cube } from "./cube.js";
import { axisNames, counts } from "./pooled.js";
import { elementsOf } from "./tensors.js";
import { html } from "./svg.js";

/** The most sets whose statistics are listed. */
const MOST_LISTED = 12;

export class NormalizeView {
  #cube;
  #request = null;
  #parts;

  constructor(root) {
    const part = (name) => root.querySelector(`#${name}`);
    this.#parts = {
      formulas: root.querySelectorAll("[data-kinds]"),
      definition: part("set-definition"),
      chooser: part("set-chooser"),
      set: part("set"),
      name: part("set-name"),
      counts: part("set-counts"),
      figure: part("cube"),
    };
    this.#cube = new Cube(this.#parts.figure);
    this.#parts.set.addEventListener("input", (event) => {
      event.stopPropagation(); // It changes the picture alone, not the request.
      this.#draw();
    });
    for (const button of root.querySelectorAll("[data-turn]")) {
      button.addEventListener("click", () => this.#cube.step(button.dataset.turn));
    }
  }

  /** Draws what is asked for, before it is answered. */
  ask(request) {
    this.#request = request;
    const kind = short(request.message.kind);
    for (const formula of this.#parts.formulas) formula.hidden = !formula.dataset.kinds.split(" ").includes(kind);
    this.#draw();
  }

  #draw() {
    const { definition, chooser, set, name, counts: words, figure } = this.#parts;
    const { pooled, tensors: [{ shape }] } = this.#request;
    const shown = this.#cube.show(shape, pooled, Number(set.value));
    const problem = shown === null ? "There are no elements to draw." : pooled.problem;
    chooser.hidden = Boolean(problem);
    Object.assign(figure.dataset, { axes: pooled.axes?.join(",") ?? "", sets: "", elements: "" });
    if (problem) {
      definition.textContent = problem;
      words.textContent = "";
      figure.setAttribute("aria-label", `No set can be drawn. ${problem}`);
      return;
    }
    const last = shown.sets.length - 1;
    if (Number(set.value) > last) {
      set.value = 0;
      this.#cube.show(shape, pooled, 0);
    }
    set.max = last;
    const all = counts(pooled, shape);
    Object.assign(figure.dataset, { sets: all.sets, elements: all.elements });
    definition.replaceChildren(...define(pooled, shape));
    name.textContent = placeName(shown.sets[Number(set.value)].place, pooled, shape);
    const excerpt = shown.isWhole ? "" : " The cube shows some indices of each long axis, at even distances.";
    words.textContent = `${all.sets.toLocaleString("en")} ${all.sets === 1 ? "set" : "sets"} of ${all.elements.toLocaleString("en")} ${all.elements === 1 ? "element" : "elements"}.${excerpt}`;
    figure.setAttribute("aria-label", `A cube of the axes ${axisNames(shape.length).join(", ")}. In colour: the set of ${name.textContent}. ${words.textContent}`);
  }

  /** The facts of an answer: pairs of a name and a value. */
  facts(answer) {
    const facts = [["axes pooled", `[${(answer.axes ?? []).join(", ")}]`]];
    for (const [field, symbol] of [["mean", "mean μ"], ["rstd", "rstd 1/σ"], ["runningMean", "running_mean"], ["runningVar", "running_var"]]) {
      if (answer[field]) facts.push([symbol, listed(elementsOf(answer[field]))]);
    }
    return facts;
  }

  /** The elements after, for each tensor. */
  after(answer) {
    return [elementsOf(answer.output)];
  }
}

const listed = (values) => Array.from(values.slice(0, MOST_LISTED), brief).join(", ") + (values.length > MOST_LISTED ? ", …" : "");

const letters = (shape) => axisNames(shape.length).map((name) => name.replace("axis ", ""));

/** The definition of S_i: the indices that its elements have in common with i. */
function define(pooled, shape) {
  const sub = (name, axis) => [html("var", {}, name), html("sub", {}, axis)];
  const conditions = letters(shape).flatMap((axis, index) => {
    if (pooled.groups > 0 && index === pooled.channels) {
      const size = shape[index] / pooled.groups;
      return [[" ⌊", ...sub("k", axis), ` / ${size}⌋ = ⌊`, ...sub("i", axis), ` / ${size}⌋`]];
    }
    return pooled.axes.includes(index) ? [] : [[" ", ...sub("k", axis), " = ", ...sub("i", axis)]];
  });
  const listed = conditions.flatMap((condition, index) => (index === 0 ? condition : [",", ...condition]));
  return [html("var", {}, "S"), html("sub", {}, html("var", {}, "i")), " = { ", html("var", {}, "k"), ...(listed.length > 0 ? [" |", ...listed] : []), " }"];
}

/** The place of a set in words: `n = 0, group 1`. */
function placeName(place, pooled, shape) {
  const names = letters(shape).flatMap((axis, index) => {
    if (place[index] === null) return [];
    if (pooled.groups > 0 && index === pooled.channels) {
      const size = shape[index] / pooled.groups;
      const first = place[index] * size;
      return [`group ${place[index]} (${axis} = ${size === 1 ? first : `${first} to ${first + size - 1}`})`];
    }
    return [`${axis} = ${place[index]}`];
  });
  return names.join(", ") || "all elements";
}
