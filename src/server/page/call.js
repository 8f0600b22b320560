// Calls of the service that this page comes from, in Connect's unary protocol with JSON.

import { fromBase64, toJson } from "./numbers.js";

/** The service's name in paths. */
export const SERVICE = "evenkeel.v1.TensorOpsService";

/** A call that failed: the status, what the service says, and the fields that it names. */
export class CallError extends Error {
  constructor(code, message, violations = []) {
    super(message);
    this.code = code;
    /** Pairs of `field` and `description`. */
    this.violations = violations;
  }
}

/** Calls a method; returns the answer, the time that it took in milliseconds, and the bytes of both messages. Throws a CallError. */
export async function call(method, message, { token, signal } = {}) {
  const headers = { "content-type": "application/json", "connect-protocol-version": "1" };
  if (token) headers.authorization = `Bearer ${token}`;
  const body = toJson(message);
  const began = performance.now();
  let response;
  let text;
  try {
    response = await fetch(new URL(`${SERVICE}/${method}`, document.baseURI), { method: "POST", headers, body, signal });
    text = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new CallError("unavailable", "The server does not answer. Is it still running?");
  }
  const answer = parse(text);
  if (!response.ok || answer === undefined) throw failure(response, answer);
  return { answer, elapsed: performance.now() - began, sent: body.length, received: text.length };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function failure(response, error) {
  if (typeof error?.code !== "string") {
    const words = `The server answered with HTTP's ${response.status} and no JSON: it does not speak Connect's protocol here.`;
    return new CallError(`http ${response.status}`, words);
  }
  const details = (error.details ?? []).filter(({ type }) => type === "google.rpc.BadRequest");
  return new CallError(error.code, error.message ?? "", details.flatMap(violations));
}

/** The field violations of a BadRequest: those that are there as JSON, or else those in its bytes. */
function violations({ debug, value }) {
  if (Array.isArray(debug?.fieldViolations)) {
    return debug.fieldViolations.map(({ field = "", description = "" }) => ({ field, description }));
  }
  const text = (bytes) => new TextDecoder().decode(bytes);
  return delimited(fromBase64(value ?? "")).filter(([number]) => number === 1).map(([, violation]) => {
    const fields = new Map(delimited(violation));
    return { field: text(fields.get(1) ?? new Uint8Array()), description: text(fields.get(2) ?? new Uint8Array()) };
  });
}

/** The length-delimited fields of a protobuf message, as pairs of number and bytes, up to the first field of another kind. */
function delimited(bytes) {
  const fields = [];
  let at = 0;
  const varint = () => {
    let [value, scale] = [0, 1];
    for (; at < bytes.length; scale *= 128) {
      const byte = bytes[at++];
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
    }
    return value;
  };
  while (at < bytes.length) {
    const key = varint();
    if (key % 8 !== 2) break;
    const length = varint();
    fields.push([key >> 3, bytes.subarray(at, at + length)]);
    at += length;
  }
  return fields;
}
