// The control of a tensor: its shape and type, and numbers that are typed, pasted, dropped as a file, or drawn at random.

import { DTYPES, TextError, decode, encode, parseIntegers, parseNumbers, product, toBase64 } from "./numbers.js";
import { FileError, parseNpy } from "./npy.js";
import { labelled } from "./fields.js";
import { html } from "./svg.js";
import { readImage } from "./image.js";

/** The most random numbers that are written as text. */
const MOST_TYPED = 4096;
/** The largest file, in bytes: the server's largest message is no larger, unless it is told so. */
const MOST_BYTES = 64 << 20;

export class TensorField {
  /** The element with all controls. */
  element;
  /** The bytes of a file, with shape and dtype; `null`: the numbers are typed. */
  #file = null;
  #parts;

  /** `path`: the field of the request. `initial`: name (`undefined`: it has none), shape and numbers as text. */
  constructor(path, initial, random) {
    const id = path.replace(/\W+/g, "-").replace(/-$/, "");
    const text = (value) => html("input", { type: "text", value, autocomplete: "off", spellcheck: "false" });
    const types = Object.keys(DTYPES).map((name) => html("option", { value: name }, name));
    const parts = {
      name: initial.name === undefined ? null : text(initial.name),
      shape: text(initial.shape),
      dtype: html("select", {}, types),
      values: html("textarea", { rows: initial.name === undefined ? 4 : 2, spellcheck: "false" }, initial.values),
      file: html("input", { type: "file", hidden: true, accept: ".npy,image/*", "aria-label": `A file for ${path}` }),
      open: html("button", { type: "button" }, "Open a file…"),
      random: html("button", { type: "button" }, "Random numbers"),
      remove: html("button", { type: "button" }, "Type numbers instead"),
      chosen: html("p", { class: "chosen" }),
      error: html("p", { class: "error", id: `${id}-error`, hidden: true }),
    };
    this.#parts = parts;
    const values = labelled(`${id}-values`, `${path}.float_data`, "Numbers", parts.values,
      parts.name ? null : "Type or paste them, row by row; or drop an .npy file or an image here.");
    parts.typed = values;
    const label = parts.name && labelled(`${id}-name`, `${path}.name`, "name", parts.name);
    label?.classList.add("wide");
    this.element = html("div", { class: "tensor", "data-field": path, role: "group", "aria-label": path },
      html("div", { class: "grid" },
        label,
        labelled(`${id}-shape`, `${path}.shape`, "shape", parts.shape, parts.name ? null : "Such as 4, 4, 2, 2 for (N, C, H, W)."),
        labelled(`${id}-dtype`, `${path}.dtype`, "dtype", parts.dtype)),
      values,
      html("div", { class: "chosen-row", hidden: true, "data-field": `${path}.data` }, parts.chosen, parts.remove, html("p", { class: "error", hidden: true })),
      html("div", { class: "buttons" }, parts.open, parts.file, parts.random),
      parts.error);
    parts.row = this.element.querySelector(".chosen-row");
    parts.open.addEventListener("click", () => parts.file.click());
    parts.file.addEventListener("change", () => this.#load(parts.file.files[0]));
    parts.remove.addEventListener("click", () => this.#use(null));
    parts.random.addEventListener("click", () => this.#draw(random));
    parts.values.addEventListener("input", () => this.#followBrackets());
    this.#acceptDrops();
  }

  #acceptDrops() {
    const { element } = this;
    const mark = (is) => element.classList.toggle("dropping", is);
    element.addEventListener("dragover", (event) => { event.preventDefault(); mark(true); });
    element.addEventListener("dragleave", (event) => { if (!element.contains(event.relatedTarget)) mark(false); });
    element.addEventListener("drop", (event) => {
      event.preventDefault();
      mark(false);
      if (event.dataTransfer.files.length > 0) this.#load(event.dataTransfer.files[0]);
      else this.#paste(event.dataTransfer.getData("text/plain"));
    });
  }

  #paste(text) {
    this.#parts.values.value = text;
    this.#followBrackets();
    this.#changed();
  }

  /** Numbers in nested brackets bring their shape along. */
  #followBrackets() {
    try {
      const { shape } = parseNumbers(this.#parts.values.value);
      if (shape !== null) this.#parts.shape.value = shape.join(", ");
    } catch (error) {
      if (!(error instanceof TextError)) throw error;
    }
  }

  async #load(file) {
    this.#parts.file.value = "";
    if (!file) return;
    try {
      if (file.size > MOST_BYTES) {
        throw new FileError(`The file has ${Math.ceil(file.size / 2 ** 20)} MiB; the page takes 64 MiB. The command line takes files of any size.`);
      }
      const isImage = file.type.startsWith("image/") || /\.(png|jpe?g|webp|gif|bmp|avif)$/i.test(file.name);
      this.#use({ name: file.name, ...(isImage ? await readImage(file) : parseNpy(await file.arrayBuffer())) });
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      this.#parts.error.textContent = error.message;
      this.#parts.error.hidden = false;
      this.#parts.open.setAttribute("aria-describedby", this.#parts.error.id);
    }
  }

  #use(file) {
    // They are read after every change of another control.
    if (file !== null) Object.assign(file, { values: decode(file.dtype, file.bytes), text: toBase64(file.bytes) });
    const { shape, dtype, chosen, row, typed, random, error, values } = this.#parts;
    this.#file = file;
    error.hidden = true;
    row.hidden = file === null;
    typed.hidden = file !== null;
    random.hidden = file !== null;
    shape.readOnly = file !== null;
    dtype.disabled = file !== null;
    if (file !== null) {
      shape.value = file.shape.join(", ");
      dtype.value = file.dtype;
      const note = file.note ? `, ${file.note}` : "";
      chosen.textContent = `${file.name}: ${product(file.shape).toLocaleString("en")} elements of ${file.dtype}${note}`;
    } else {
      values.focus();
    }
    this.#changed();
  }

  /** Random numbers for the shape: as text if they are few. */
  #draw(random) {
    let shape;
    try {
      shape = parseIntegers(this.#parts.shape.value);
    } catch (error) {
      if (!(error instanceof TextError)) throw error;
      return;
    }
    const count = product(shape);
    if (!(count >= 0 && count <= 1 << 22)) return;
    const values = random(shape);
    if (count <= MOST_TYPED) this.#paste(values.map((x) => Number(x.toFixed(2))).join(", "));
    else this.#use({ name: "random numbers", shape, dtype: "float32", bytes: encode("float32", values) });
  }

  #changed() {
    this.element.dispatchEvent(new Event("input", { bubbles: true }));
  }

  /** The shape that is typed; `null`: it is none. */
  shape() {
    try {
      return parseIntegers(this.#parts.shape.value);
    } catch {
      return null;
    }
  }

  /** The tensor for pictures and programs, the message for the service, and the errors of what is typed. */
  read() {
    const { name, shape, dtype, values } = this.#parts;
    const path = this.element.dataset.field;
    const errors = [];
    const parsed = (part, field, parse) => {
      try {
        return parse(part.value);
      } catch (error) {
        if (!(error instanceof TextError)) throw error;
        errors.push({ field: `${path}.${field}`, description: error.message });
        return null;
      }
    };
    const dims = parsed(shape, "shape", parseIntegers) ?? [];
    const numbers = this.#file ? this.#file.values : parsed(values, "float_data", parseNumbers)?.values ?? [];
    const type = dtype.value;
    // Numbers of float64 have more digits than `float_data` has.
    const bytes = this.#file?.bytes ?? (type === "float64" ? encode(type, numbers) : null);
    const label = name?.value ?? "";
    const message = {
      ...(label === "" ? {} : { name: label }),
      ...(type === "float32" && bytes === null ? {} : { dtype: DTYPES[type].wire }),
      shape: dims,
      ...(bytes === null ? { floatData: Array.from(numbers) } : { data: this.#file?.text ?? toBase64(bytes) }),
    };
    const tensor = { name: label, dtype: type, shape: dims, values: numbers, isFile: this.#file !== null, bytes };
    return { tensor, message, errors };
  }
}
