// Numbers: read from text, written as JSON, and as the bytes of tensors.

/** The element types, with their sizes in bytes and their names in the contract, and (`numpy`) in `.npy` files. */
export const DTYPES = {
  float32: { wire: "DATA_TYPE_FLOAT32", size: 4, numpy: "<f4" },
  float64: { wire: "DATA_TYPE_FLOAT64", size: 8, numpy: "<f8" },
  float16: { wire: "DATA_TYPE_FLOAT16", size: 2, numpy: "<f2" },
  bfloat16: { wire: "DATA_TYPE_BFLOAT16", size: 2, numpy: "" },
};

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const WORDS = new Map([["nan", NaN], ["inf", Infinity], ["infinity", Infinity]]);

/** A text that is no number, or no list of them; its message is for the reader of the page. */
export class TextError extends Error {}

/** One number; `nan` and `inf` are numbers, too. Throws a TextError. */
export function parseNumber(text) {
  const word = text.trim();
  if (NUMBER.test(word)) return Number(word);
  const [, sign, name] = /^([+-]?)(.*)$/s.exec(word);
  const value = WORDS.get(name.toLowerCase());
  if (value === undefined) throw new TextError(`“${shorten(word)}” is not a number`);
  return sign === "-" ? -value : value;
}

/** A whole number, as a BigInt. Throws a TextError. */
export function parseInteger(text) {
  const word = text.trim();
  if (!/^[+-]?\d+$/.test(word)) throw new TextError(`“${shorten(word)}” is not a whole number`);
  return BigInt(word.replace(/^\+/, ""));
}

/** Whole numbers between commas or spaces. */
export function parseIntegers(text) {
  return words(text.replace(/[[\]()×x*]/g, " ")).map(parseInteger).map(Number);
}

/** Numbers between commas, spaces or brackets, and the shape that nested brackets give them; `null`: they give none. */
export function parseNumbers(text) {
  return { values: words(text.replace(/[[\](){}]/g, " ")).map(parseNumber), shape: nestedShape(text) };
}

const words = (text) => text.split(/[\s,;]+/).filter(Boolean);
const shorten = (text) => (text.length > 24 ? `${text.slice(0, 24)}…` : text);

/** The shape of text such as `[[1, 2], [3, 4]]`. */
function nestedShape(text) {
  if (!/^\s*\[\s*\[/.test(text)) return null;
  try {
    return shapeOf(JSON.parse(text.replace(/[^\s,[\]]+/g, "0")));
  } catch {
    return null;
  }
}

/** The shape of nested arrays; `null`: they are of several lengths. */
function shapeOf(level) {
  if (!Array.isArray(level)) return [];
  const [first, ...others] = level.map(shapeOf);
  const same = (other) => other !== null && first !== null && other.join() === first.join();
  return others.every(same) && first !== null ? [level.length, ...(first ?? [])] : null;
}

/** The product of the dimensions: the number of elements. */
export const product = (shape) => shape.reduce((all, dimension) => all * dimension, 1);

/** A number as people read it: some six digits. */
export function brief(value) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  return String(Number(value.toPrecision(6))).replace("-", "−");
}

/** JSON as protobuf has it: NaN and infinities are strings, −0 keeps its sign, and numbers share lines. */
export function toJson(value, indent = "") {
  const deeper = `${indent}  `;
  if (typeof value === "number") {
    if (!Number.isFinite(value)) return `"${value}"`;
    return Object.is(value, -0) ? "-0.0" : String(value);
  }
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? String(value) : `"${value}"`;
  if (Array.isArray(value)) {
    if (value.some((item) => typeof item === "object")) {
      return `[\n${value.map((item) => deeper + toJson(item, deeper)).join(",\n")}\n${indent}]`;
    }
    return wrapped(value.map((item) => toJson(item)), indent);
  }
  if (typeof value === "object" && value !== null) {
    const lines = Object.entries(value).map(([name, item]) => `${deeper}"${name}": ${toJson(item, deeper)}`);
    return lines.length === 0 ? "{}" : `{\n${lines.join(",\n")}\n${indent}}`;
  }
  return JSON.stringify(value);
}

/** The most letters in a line of numbers. */
const LINE = 56;

/** A list in as many lines as it needs. */
function wrapped(words, indent) {
  const lines = [""];
  for (const word of words) {
    const line = lines.at(-1);
    if (line === "") lines[lines.length - 1] = word;
    else if (line.length + word.length + 2 <= LINE - indent.length) lines[lines.length - 1] = `${line}, ${word}`;
    else lines.push(word);
  }
  return lines.length === 1 ? `[${lines[0]}]` : `[\n${lines.map((line) => `${indent}  ${line}`).join(",\n")}\n${indent}]`;
}

/** A number of an answer's JSON, which has NaN and infinities as strings. */
export const fromJson = (value) => Number(value ?? 0);

/** The elements of bytes, as numbers. */
export function decode(dtype, bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { size } = DTYPES[dtype];
  const values = new Float64Array(Math.floor(bytes.byteLength / size));
  const read = {
    float32: (at) => view.getFloat32(at, true),
    float64: (at) => view.getFloat64(at, true),
    float16: (at) => half(view.getUint16(at, true)),
    bfloat16: (at) => upperHalf(view.getUint16(at, true)),
  }[dtype];
  for (let i = 0; i < values.length; i += 1) values[i] = read(i * size);
  return values;
}

/** The bytes of numbers, of float32 or float64. */
export function encode(dtype, values) {
  const { size } = DTYPES[dtype];
  const view = new DataView(new ArrayBuffer(values.length * size));
  const write = dtype === "float64" ? (at, x) => view.setFloat64(at, x, true) : (at, x) => view.setFloat32(at, x, true);
  values.forEach((x, i) => write(i * size, x));
  return new Uint8Array(view.buffer);
}

function half(bits) {
  const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 0x1f, bits & 0x3ff];
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const scratch = new DataView(new ArrayBuffer(4));
function upperHalf(bits) {
  scratch.setUint32(0, bits << 16);
  return scratch.getFloat32(0);
}

const CHUNK = 0x8000;

export function toBase64(bytes) {
  const parts = [];
  for (let at = 0; at < bytes.length; at += CHUNK) parts.push(String.fromCharCode(...bytes.subarray(at, at + CHUNK)));
  return btoa(parts.join(""));
}

export function fromBase64(text) {
  // Connect's details leave the padding out.
  const binary = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i += 1) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
