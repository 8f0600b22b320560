/** The protocol Connect: a unary call is a POST, and all messages of a request are in its body. */

import { fromBase64, httpFault } from "../core/grpc-status.js";
import { CODES, StatusFault, type Detail } from "../core/status.js";
import type { WireCall } from "../core/transport.js";
import { FrameReader } from "../wire/receiver.js";
import { headerOf, readBody } from "./body.js";

/** The flag of the last frame of a stream. */
const LAST = 2;

export function connectHeaders({ method, timeoutMs }: WireCall): Record<string, string> {
  return {
    "content-type": method.kind === "unary" ? "application/proto" : "application/connect+proto",
    "connect-protocol-version": "1",
    // At most ten digits; longer limits are none.
    ...(timeoutMs === undefined || timeoutMs >= 1e10 ? {} : { "connect-timeout-ms": String(Math.ceil(timeoutMs)) }),
  };
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function detailsOf(value: unknown): Detail[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((item: unknown): Detail[] => {
    const [type, encoded] = [text(field(item, "type")), text(field(item, "value"))];
    try {
      return type === undefined || encoded === undefined ? [] : [{ type, value: fromBase64(encoded) }];
    } catch {
      return []; // the status has a code and a message all the same
    }
  });
}

/** The error that JSON describes; `undefined` for other JSON. */
function faultOf(error: unknown): StatusFault | undefined {
  const name = text(field(error, "code"));
  if (name === undefined) return undefined;
  const upper = name === "canceled" ? "CANCELLED" : name.toUpperCase();
  const code = CODES.find((known) => known === upper);
  const message = text(field(error, "message")) ?? "";
  return new StatusFault(
    code === undefined || code === "OK" ? "UNKNOWN" : code,
    message,
    detailsOf(field(error, "details")),
  );
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/** Reads the answer of a call. */
export async function readConnect(response: Response, { method, receiver }: WireCall): Promise<void> {
  if (!response.ok) throw faultOf(parsed(await response.text())) ?? httpFault(response.status);
  const type = headerOf(response)("content-type") ?? "";
  if (method.kind === "unary") {
    if (type !== "application/proto") throw notConnect(type);
    receiver.begin(Infinity);
    await readBody(response, (chunk) => {
      receiver.push(chunk);
    });
    receiver.end();
    return;
  }
  if (type !== "application/connect+proto") throw notConnect(type);
  let last: unknown;
  const frames = new FrameReader(receiver, (flags, frame) => {
    if (flags !== LAST) throw new StatusFault("INTERNAL", "the answer has a frame of an unknown kind");
    last = parsed(new TextDecoder().decode(frame));
  });
  await readBody(response, (chunk) => {
    frames.push(chunk);
  });
  if (last === undefined) throw new StatusFault("INTERNAL", "the answer has no end");
  const fault = faultOf(field(last, "error"));
  if (fault !== undefined) throw fault;
  frames.finish();
}

function notConnect(type: string): StatusFault {
  return new StatusFault("UNKNOWN", `the answer is of the type ${type}: the server does not speak Connect here`);
}
