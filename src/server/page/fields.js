// The controls of an operation's parameters, and the errors beside them.

import { html } from "./svg.js";
import { asked } from "./operations.js";

/** A control with its label, its hint, and room for an error. `path`: the field of the request. */
export function labelled(id, path, label, control, hint, ...others) {
  const described = [hint ? `${id}-hint` : "", `${id}-error`].filter(Boolean).join(" ");
  control.id = id;
  control.setAttribute("aria-describedby", described);
  return html("div", { class: "field", "data-field": path },
    html("label", { for: id }, label),
    control,
    ...others,
    hint ? html("p", { class: "hint", id: `${id}-hint` }, hint) : null,
    html("p", { class: "error", id: `${id}-error`, hidden: true }));
}

/** Radio buttons in a row. */
export function segments(name, legend, options, value, path, hint) {
  const id = `${name}-error`;
  return html("fieldset", { class: "segments field", "data-field": path, "aria-describedby": id },
    html("legend", {}, legend),
    html("div", { class: "row" }, options.map(([option, text]) =>
      html("label", {}, html("input", { type: "radio", name, value: option, checked: option === value }), html("span", {}, text)))),
    hint ? html("p", { class: "hint" }, hint) : null,
    html("p", { class: "error", id, hidden: true }));
}

/** The controls of one operation. */
export class Fields {
  #operation;
  #fields = new Map();
  /** The element with all of them. */
  element;

  constructor(operation) {
    this.#operation = operation;
    const { id, fields } = operation;
    const [main, more] = [html("div", { class: "grid" }), html("div", { class: "grid" })];
    for (const field of fields) {
      const element = this.#make(`${id}-${field.name}`, field);
      this.#fields.set(field.name, { field, element });
      (field.more ? more : main).append(element);
    }
    const rest = more.children.length === 0 ? null : html("details", { class: "more" }, html("summary", {}, "More parameters"), more);
    this.element = html("div", { class: "fields" }, main, rest);
    this.update();
  }

  #make(id, field) {
    const { name, type, hint, value, slider, step } = field;
    switch (type) {
      case "choice": return segments(id, name, field.options, value, name, hint);
      case "flag": {
        const control = html("input", { type: "checkbox", checked: value === true });
        const element = labelled(id, name, name, control, hint);
        element.classList.add("flag");
        return element;
      }
      case "maybe": {
        const options = [["", "as the contract has it"], ["true", "true"], ["false", "false"]];
        return labelled(id, name, name, html("select", {}, options.map(([key, text]) => html("option", { value: key }, text))), hint);
      }
      case "vector":
      case "json": {
        const element = labelled(id, name, name, html("textarea", { rows: 2, spellcheck: "false" }), hint);
        element.classList.add("wide");
        return element;
      }
      default: {
        const control = html("input", { type: "text", value, autocomplete: "off", spellcheck: "false", inputmode: type === "number" ? "decimal" : "text" });
        const beside = slider ? this.#slider(id, name, control, slider) : step ? this.#stepper(name, control) : null;
        const element = labelled(id, name, name, control, hint, ...(beside ? [beside] : []));
        if (slider) element.classList.add("wide");
        return element;
      }
    }
  }

  /** A slider beside a text; each follows the other. */
  #slider(id, name, control, [min, max, step]) {
    const slider = html("input", { type: "range", id: `${id}-slider`, min, max, step, value: control.value, "aria-label": `${name}, as a slider` });
    slider.addEventListener("input", () => { control.value = slider.value; });
    control.addEventListener("input", () => { slider.value = control.value; });
    return slider;
  }

  /** A button for the next number. */
  #stepper(name, control) {
    const button = html("button", { type: "button", class: "small" }, `Next ${name}`);
    button.addEventListener("click", () => {
      control.value = /^\d+$/.test(control.value.trim()) ? String(BigInt.asUintN(64, BigInt(control.value.trim()) + 1n)) : "1";
      control.dispatchEvent(new Event("input", { bubbles: true }));
    });
    return button;
  }

  /** The texts of all parameters, by name; those that are not asked for are left out. */
  values() {
    const texts = Object.fromEntries([...this.#fields].map(([name, { field, element }]) => [name, read(field, element)]));
    const names = new Set(asked(this.#operation, texts).map(({ name }) => name));
    return Object.fromEntries(Object.entries(texts).filter(([name]) => names.has(name)));
  }

  /** Shows the controls that are asked for, with the placeholders that go with the others. */
  update() {
    const values = this.values();
    for (const [name, { field, element }] of this.#fields) {
      element.hidden = !(name in values);
      const placeholder = typeof field.placeholder === "function" ? field.placeholder(values) : field.placeholder;
      const control = element.querySelector("input[type=text], textarea");
      if (control && placeholder) control.placeholder = placeholder;
    }
  }
}

function read({ type }, element) {
  if (type === "choice") return element.querySelector("input:checked").value;
  if (type === "flag") return element.querySelector("input").checked;
  return element.querySelector("input[type=text], textarea, select").value;
}

/**
 * Shows errors beside the fields that they name, below `root`: each at the element whose `data-field` is the longest beginning
 * of its path. Returns those that name no field here.
 */
export function showErrors(root, errors) {
  for (const place of root.querySelectorAll("[data-field]")) setError(place, "");
  return errors.filter(({ field, description }) => {
    const place = find(root, field);
    if (place === null) return true;
    const already = place.querySelector(":scope > .error").textContent;
    setError(place, [already, `${field}: ${description}`].filter(Boolean).join("\n"));
    place.closest("details")?.setAttribute("open", "");
    return false;
  });
}

/** The element for a path such as `input.shape[2]`: that of `input.shape`, or else of `input`. */
function find(root, path) {
  const seen = [...root.querySelectorAll("[data-field]")].filter((place) => place.closest("[hidden]") === null);
  const parts = path.match(/\[[^\]]*\]|\.?[^.[\]]+/g) ?? [];
  for (let length = parts.length; length > 0; length -= 1) {
    const place = seen.find((element) => element.dataset.field === parts.slice(0, length).join(""));
    if (place !== undefined) return place;
  }
  return null;
}

function setError(place, text) {
  const error = place.querySelector(":scope > .error");
  error.textContent = text;
  error.hidden = text === "";
  for (const control of place.querySelectorAll(":scope > input, :scope > textarea, :scope > select")) {
    if (text === "") control.removeAttribute("aria-invalid");
    else control.setAttribute("aria-invalid", "true");
  }
}
