// From what is typed to a request: the message in protobuf's JSON, and its arguments for the programs that make the same call.

import { TextError, parseInteger, parseIntegers, parseNumber, parseNumbers, product } from "./numbers.js";
import { asked, camel, short } from "./operations.js";
import { pooling } from "./pooled.js";

/** The whole numbers of 64 bits; the others are small. */
const LONG = ["seed", "offset"];

/** The value of a parameter from its text; `undefined`: it is left out. Throws a TextError. */
function valueOf({ name, type }, text) {
  if (type === "flag") return text || undefined;
  if (text.trim() === "") return undefined;
  switch (type) {
    case "choice": return text;
    case "maybe": return text === "true";
    case "number": return parseNumber(text);
    case "integer": return LONG.includes(name) ? parseInteger(text) : Number(parseInteger(text));
    case "integers": return parseIntegers(text);
    case "vector": return parseNumbers(text).values;
    default: return parseJson(text);
  }
}

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new TextError(`it is no JSON: ${error.message}`);
  }
}

/**
 * The request of an operation. `texts`: the values of its controls. `tensors`: what its tensor fields have read.
 *
 * `message` goes to the service; `parameters` are its arguments (`name`, `type`, `value`); `errors` name what cannot be read.
 */
export function build(operation, texts, tensors) {
  const errors = tensors.flatMap((tensor) => tensor.errors);
  const parameters = [];
  for (const field of asked(operation, texts)) {
    try {
      const value = valueOf(field, texts[field.name]);
      if (value !== undefined) parameters.push({ name: field.name, type: field.type, value });
    } catch (error) {
      if (!(error instanceof TextError)) throw error;
      errors.push({ field: field.name, description: error.message });
    }
  }
  const value = (name) => parameters.find((parameter) => parameter.name === name)?.value;
  const shape = tensors[0]?.tensor.shape ?? [];
  const pooled = operation.method === "Normalize" ? poolingOf(value, shape) : null;
  for (const parameter of parameters.filter(({ type }) => type === "vector")) {
    const places = pooled.problem || pooled.channels >= 0 ? [] : pooled.axes.map((axis) => shape[axis]);
    const fits = places.length > 0 && product(places) === parameter.value.length;
    const dims = fits && ["weight", "bias"].includes(parameter.name) ? places : [parameter.value.length];
    parameter.value = { name: "", dtype: "float32", shape: dims, values: parameter.value };
  }
  const message = Object.fromEntries(parameters.map(({ name, type, value: own }) =>
    [camel(name), type === "vector" ? { shape: own.shape, floatData: own.values } : own]));
  const sent = tensors.map((tensor) => tensor.message);
  if (operation.method === "ClipGradients") message.gradients = sent;
  else [message.input] = sent;
  return { operation, method: operation.method, message, parameters, tensors: tensors.map(({ tensor }) => tensor), errors, pooled };
}

function poolingOf(value, shape) {
  const kind = short(value("kind"));
  return pooling({ kind, axes: value("axes") ?? [], groups: value("groups"), channelAxis: value("channel_axis"), shape });
}
