// What is shown of a dropout: the mask as a picture.

import { fromBase64, fromJson, product } from "./numbers.js";
import { drawMask, drawsOf } from "./mask.js";
import { elementsOf } from "./tensors.js";
import { short } from "./operations.js";

export class DropoutView {
  #canvas;
  #caption;
  #formulas;
  #shown = null;

  constructor(root) {
    this.#canvas = root.querySelector("#mask");
    this.#caption = root.querySelector("#mask-caption");
    this.#formulas = root.querySelectorAll("[data-scalings]");
  }

  ask({ message }) {
    const name = /ALPHA/.test(message.kind) ? "ALPHA" : short(message.scaling);
    for (const formula of this.#formulas) formula.hidden = formula.dataset.scalings !== name;
  }

  /** Shows the mask of an answer; `null`: there is none. */
  show(request, answer) {
    this.#shown = answer === null ? null : { request, answer };
    this.redraw();
  }

  /** Draws the same mask again, in colours that have changed. */
  redraw() {
    const canvas = this.#canvas;
    const mask = fromBase64(this.#shown?.answer.mask ?? "");
    canvas.hidden = mask.length === 0;
    if (canvas.hidden) {
      this.#caption.textContent = this.#shown === null ? "There is no answer to draw." : "The answer has no mask. Tick return_mask to see it.";
      return;
    }
    const { message, tensors: [{ shape }] } = this.#shown.request;
    const draws = drawsOf(message.kind ?? "", shape, message.channelAxis ?? 1);
    const { shown, rows, columns } = drawMask(canvas, mask, draws);
    const what = draws === shape ? "element" : "channel of a sample";
    const part = shown ? "" : ` The picture has the first ${rows} × ${columns}.`;
    this.#caption.textContent = `A square for each ${what}: filled if it is kept, empty if it is dropped.${part}`;
    canvas.setAttribute("aria-label", `The mask of ${product(draws)} draws, ${rows} rows of ${columns}; ${canvas.dataset.kept} are kept`);
  }

  facts(answer, request) {
    const [kept, all] = [fromJson(answer.kept), product(request.tensors[0].shape)];
    const share = all > 0 ? ` (${((100 * kept) / all).toFixed(1)} %)` : "";
    return [["elements kept", `${kept.toLocaleString("en")} of ${all.toLocaleString("en")}${share}`]];
  }

  after(answer) {
    return [elementsOf(answer.output)];
  }
}
