// The page: what is typed becomes a request, which this server answers.

import { Answer } from "./answer.js";
import { CallError, call } from "./call.js";
import { Code } from "./code.js";
import { Fields, segments, showErrors } from "./fields.js";
import { OPERATIONS } from "./operations.js";
import { build } from "./request.js";
import { GRADIENTS, INPUT, random } from "./samples.js";
import { html } from "./svg.js";
import { TensorField } from "./tensor-field.js";
import { ClipView } from "./view-clip.js";

/** How long the page waits for the next letter before it sends a request, in milliseconds. */
const PAUSE = 150;
/** Longer requests are sent when they are asked for, in bytes of JSON. */
const MOST_LIVE = 4 << 20;

class Page {
  #form = document.querySelector("#form");
  #operation = OPERATIONS[0];
  #fields = new Map(OPERATIONS.map((operation) => [operation, new Fields(operation)]));
  #input = new TensorField("input", INPUT, random);
  #gradients = [];
  #answer = new Answer(document.querySelector("#answer"));
  #code = new Code(document.querySelector("#code"));
  #token = document.querySelector("#token");
  #live = document.querySelector("#live");
  #timer = 0;
  #running = new AbortController();

  constructor() {
    const choices = OPERATIONS.map(({ id, title }) => [id, title]);
    const operation = segments("operation", "Operation", choices, this.#operation.id, "operation");
    document.querySelector("#operation").replaceWith(operation);
    operation.addEventListener("change", (event) => this.#choose(event.target.value));
    document.querySelector("#parameters").append(...[...this.#fields.values()].map(({ element }) => element));
    document.querySelector("#tensors").append(this.#input.element, this.#gradientList());
    for (const gradient of GRADIENTS) this.#addGradient(gradient);
    this.#form.addEventListener("input", () => this.#changed());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#choose(this.#operation.id);
    this.#describeServer();
  }

  #gradientList() {
    const add = html("button", { type: "button", id: "add-gradient" }, "Add a gradient");
    add.addEventListener("click", () => {
      const field = this.#addGradient({ name: `gradient ${this.#gradients.length}`, shape: "2", values: "1, -1" });
      field.element.querySelector("input").focus();
      this.#changed();
    });
    return html("div", { id: "gradients", "data-field": "gradients" }, add, html("p", { class: "error", hidden: true }));
  }

  #addGradient(initial) {
    const field = new TensorField(`gradients[${this.#gradients.length}]`, initial, random);
    const remove = html("button", { type: "button", class: "remove" }, "Remove the last gradient");
    this.#gradients.push(field);
    document.querySelector("#add-gradient").before(field.element);
    // The paths of the others stay the same if the last one goes.
    document.querySelectorAll("#gradients .remove").forEach((button) => button.remove());
    remove.addEventListener("click", () => this.#removeGradient());
    document.querySelector("#add-gradient").after(remove);
    return field;
  }

  #removeGradient() {
    this.#gradients.pop()?.element.remove();
    if (this.#gradients.length === 0) {
      document.querySelector("#gradients .remove").remove();
      document.querySelector("#add-gradient").focus();
    }
    this.#changed();
  }

  #choose(id) {
    this.#operation = OPERATIONS.find((operation) => operation.id === id);
    for (const [operation, { element }] of this.#fields) element.hidden = operation !== this.#operation;
    const isClip = this.#operation.method === "ClipGradients";
    this.#input.element.hidden = isClip;
    document.querySelector("#gradients").hidden = !isClip;
    this.#changed();
  }

  #read() {
    const fields = this.#fields.get(this.#operation);
    fields.update();
    const tensors = this.#operation.method === "ClipGradients" ? this.#gradients : [this.#input];
    return build(this.#operation, fields.values(), tensors.map((tensor) => tensor.read()));
  }

  /** Shows the new request at once, and sends it when nothing has been typed for a moment. */
  #changed() {
    clearTimeout(this.#timer);
    this.#running.abort();
    const request = this.#read();
    const before = this.#answer.ask(request);
    this.#code.show(request, this.#token.value !== "");
    const size = request.tensors.reduce((sum, { values }) => sum + 6 * values.length, 0);
    if (this.#live.checked && size <= MOST_LIVE) {
      this.#answer.waiting();
      this.#timer = setTimeout(() => this.#run(request, before), PAUSE);
    } else {
      this.#answer.idle();
    }
  }

  #send() {
    clearTimeout(this.#timer);
    this.#running.abort();
    const request = this.#read();
    const before = this.#answer.ask(request);
    this.#code.show(request, this.#token.value !== "");
    this.#answer.waiting();
    return this.#run(request, before);
  }

  async #run(request, before) {
    this.#running = new AbortController();
    const { signal } = this.#running;
    const options = { token: this.#token.value, signal };
    try {
      if (request.errors.length > 0) throw new CallError("not sent", "What is typed cannot be read.", request.errors);
      const [answer, other] = await Promise.all([
        call(request.method, request.message, options),
        request.method === "ClipGradients" ? this.#other(request, options) : null,
      ]);
      if (signal.aborted) return;
      showErrors(this.#form, []);
      this.#answer.show(request, before, answer, other);
    } catch (error) {
      if (error.name === "AbortError" || signal.aborted) return;
      if (!(error instanceof CallError)) throw error;
      const rest = showErrors(this.#form, error.violations);
      if (error.code === "unauthenticated") this.#token.closest("details").open = true;
      this.#answer.fail(request, error.code, error.message, rest);
    }
  }

  /** The answer to the other mode of clipping, for the second picture; `null`: it has none. */
  async #other(request, options) {
    try {
      return (await call(request.method, ClipView.other(request.message), options)).answer;
    } catch (error) {
      if (error instanceof CallError) return null;
      throw error;
    }
  }

  async #describeServer() {
    const server = document.querySelector("#server");
    try {
      const { answer } = await call("GetServerInfo", {}, { token: this.#token.value });
      const limit = Number(answer.maxMessageBytes ?? 0) / 2 ** 20;
      server.textContent = `version ${answer.version}, messages up to ${limit.toLocaleString("en", { maximumFractionDigits: 1 })} MiB`;
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      server.textContent = "";
    }
  }
}

new Page();
