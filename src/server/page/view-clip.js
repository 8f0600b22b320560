// What is shown of a clipping: arrows, by norm and by value.

import { brief, fromJson } from "./numbers.js";
import { drawArrows } from "./arrows.js";
import { elementsOf } from "./tensors.js";
import { short } from "./operations.js";

/** The parameters of the two modes that are not accepted in the other. */
const OF_NORM = ["totalNorm", "epsilon", "notAbove"];

export class ClipView {
  #root;
  #formulas;

  constructor(root) {
    this.#root = root;
    this.#formulas = root.querySelectorAll("[data-modes]");
  }

  ask({ message }) {
    for (const formula of this.#formulas) formula.hidden = !formula.dataset.modes.split(" ").includes(short(message.mode));
  }

  /** The request of the other picture: by value beside a norm, by norm beside a value. */
  static other(message) {
    if (short(message.mode) === "VALUE") return { ...message, mode: "CLIP_MODE_NORM" };
    const rest = Object.entries(message).filter(([name]) => !OF_NORM.includes(name));
    return { ...Object.fromEntries(rest), mode: "CLIP_MODE_VALUE" };
  }

  /** Draws both answers; `null`: there is none. */
  show(request, answer, other) {
    const { message, tensors } = request;
    const before = tensors.map(({ values }) => values);
    const isValue = short(message.mode) === "VALUE";
    const pictures = [["norm", isValue ? other : answer], ["value", isValue ? answer : other]];
    for (const [name, its] of pictures) {
      const figure = this.#root.querySelector(`#arrows-${name}`);
      const caption = this.#root.querySelector(`#arrows-${name}-caption`);
      figure.closest("figure").classList.toggle("chosen-figure", (name === "value") === isValue);
      const after = its === null ? [] : (its.gradients ?? []).map(elementsOf);
      const order = name === "value" ? Infinity : message.normType ?? 2;
      const words = name === "value" ? "Clipped by value" : short(message.mode) === "NORM_PER_TENSOR" ? "Clipped by each tensor’s norm" : "Clipped by norm";
      drawArrows(figure, before, after, { limit: message.threshold ?? NaN, order, words });
      caption.textContent = its === null ? `${words}: no answer` : words;
    }
  }

  facts(answer) {
    const facts = [["total norm", brief(fromJson(answer.totalNorm))], ["scale", brief(fromJson(answer.scale))]];
    if (fromJson(answer.clippedElements) > 0) facts.push(["elements clamped", String(answer.clippedElements)]);
    if (answer.tensorNorms?.length > 0) facts.push(["norms of the tensors", answer.tensorNorms.map((norm) => brief(fromJson(norm))).join(", ")]);
    return facts;
  }

  after(answer) {
    return (answer.gradients ?? []).map(elementsOf);
  }
}
