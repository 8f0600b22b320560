// The answer: its status, facts and numbers, the histograms, and the view of each operation.

import { brief } from "./numbers.js";
import { drawHistogram } from "./histogram.js";
import { joined } from "./tensors.js";
import { html } from "./svg.js";
import { ClipView } from "./view-clip.js";
import { DropoutView } from "./view-dropout.js";
import { NormalizeView } from "./view-normalize.js";

/** The most elements that are listed. */
const MOST_LISTED = 100;

export class Answer {
  #views;
  #sections;
  #parts;

  constructor(root) {
    const part = (name) => root.querySelector(`#${name}`);
    this.#sections = [...root.querySelectorAll("[data-operation]")];
    this.#views = { Normalize: new NormalizeView(root), Dropout: new DropoutView(root), ClipGradients: new ClipView(root) };
    this.#parts = {
      status: part("status"), problem: part("problem"), facts: part("facts"), rows: part("rows"), more: part("rows-more"),
      before: part("before"), after: part("after"), beforeFacts: part("before-facts"), afterFacts: part("after-facts"), none: part("after-none"),
    };
    document.addEventListener("themechange", () => this.#views.Dropout.redraw());
  }

  /** Shows what is asked for, while there is no answer. */
  ask(request) {
    for (const section of this.#sections) section.hidden = section.dataset.operation !== request.method;
    this.#views[request.method].ask(request);
    const before = joined(request.tensors.map(({ values }) => values));
    this.#histogram("before", before);
    return before;
  }

  #histogram(name, values) {
    const { count, others, mean, std } = drawHistogram(this.#parts[name], values, name === "before" ? "Before" : "After");
    const finite = count > 0 ? `mean ${brief(mean)}, standard deviation ${brief(std)}` : "";
    const rest = others > 0 ? `${others} not finite` : "";
    this.#parts[`${name}Facts`].textContent = [finite, rest].filter(Boolean).join("; ");
  }

  waiting() {
    this.#tell("waiting", "Waiting for the answer…");
  }

  /** The request is not sent by itself. */
  idle() {
    this.#tell("idle", "Press Send for the answer.");
  }

  #tell(state, words) {
    this.#parts.status.textContent = words;
    this.#parts.status.dataset.state = state;
  }

  /** Shows an answer. `other`: that of the second picture of a clipping. */
  show(request, before, { answer, elapsed, sent, received }, other) {
    const { problem, none, after } = this.#parts;
    const view = this.#views[request.method];
    problem.hidden = true;
    view.show?.(request, answer, other);
    this.#facts(view.facts(answer, request));
    const values = joined(view.after(answer));
    none.hidden = true;
    after.removeAttribute("hidden");
    this.#histogram("after", values);
    this.#rows(before, values);
    this.#tell("ok", `Answered in ${elapsed.toFixed(1)} ms; ${bytes(sent)} sent, ${bytes(received)} received.`);
  }

  /** Shows that there is no answer, and why. `rest`: the errors that no field shows. */
  fail(request, code, message, rest) {
    const { problem, none, after, afterFacts } = this.#parts;
    const words = rest.length > 0 || message ? message : "See the marked fields.";
    problem.replaceChildren(html("strong", {}, code), ` ${words}`);
    problem.hidden = false;
    this.#views[request.method].show?.(request, null, null);
    this.#facts([]);
    after.setAttribute("hidden", "");
    afterFacts.textContent = "";
    none.hidden = false;
    this.#rows([], []);
    this.#tell("failed", "");
  }

  #facts(facts) {
    this.#parts.facts.replaceChildren(...facts.map(([name, value]) => html("div", {}, html("dt", {}, name), html("dd", {}, value))));
  }

  #rows(before, after) {
    const count = Math.min(after.length, MOST_LISTED);
    const rows = Array.from({ length: count }, (_, i) =>
      html("tr", {}, html("th", { scope: "row" }, String(i)), html("td", {}, brief(before[i])), html("td", {}, brief(after[i]))));
    this.#parts.rows.replaceChildren(...rows);
    this.#parts.more.textContent = count === 0 ? "There is no answer." : count < after.length ? `The first ${count} of ${after.length.toLocaleString("en")} elements.` : "";
  }
}

function bytes(count) {
  return count < 10_000 ? `${count} bytes` : `${(count / 1024).toFixed(0)} KiB`;
}
