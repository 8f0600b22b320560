/** The status of a call in gRPC's headers. */

import { fromBinary } from "@bufbuild/protobuf";

import { StatusSchema } from "../gen/google/rpc/details_pb.js";
import type { Code } from "./errors.js";
import { CODES, StatusFault, type Detail } from "./status.js";

/** Headers or trailers by their names in small letters. */
export type ReadHeader = (name: string) => string | undefined;

function decoded(message: string): string {
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}

/** Base64, with or without padding, in either alphabet. */
export function fromBase64(text: string): Uint8Array {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

/** The name of a message from its URL. */
function typeOf(url: string): string {
  return url.slice(url.lastIndexOf("/") + 1);
}

function detailsOf(header: string | undefined): Detail[] {
  if (header === undefined) return [];
  try {
    const { details } = fromBinary(StatusSchema, fromBase64(header));
    return details.map(({ typeUrl, value }) => ({ type: typeOf(typeUrl), value }));
  } catch {
    return []; // the status has a code and a message all the same
  }
}

/** What a call's status means: `undefined` if it went well, or if there is none. */
export function grpcFault(header: ReadHeader): StatusFault | undefined {
  const number = header("grpc-status");
  if (number === undefined) return undefined;
  const code = /^\d+$/.test(number) ? CODES[Number(number)] : undefined;
  if (code === "OK") return undefined;
  return new StatusFault(
    code ?? "UNKNOWN",
    decoded(header("grpc-message") ?? ""),
    detailsOf(header("grpc-status-details-bin")),
  );
}

const HTTP_CODES: Readonly<Record<number, Code>> = {
  400: "INTERNAL",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "UNIMPLEMENTED",
  429: "UNAVAILABLE",
  431: "RESOURCE_EXHAUSTED",
  502: "UNAVAILABLE",
  503: "UNAVAILABLE",
  504: "UNAVAILABLE",
};

/** What an answer of HTTP means that has no status of the call. */
export function httpFault(status: number): StatusFault {
  return new StatusFault(
    HTTP_CODES[status] ?? "UNKNOWN",
    `the answer has HTTP's status ${status} and no status of a call`,
  );
}

/** gRPC's header of a time limit: at most eight digits, and a unit. */
export function grpcTimeout(milliseconds: number): string {
  const units: [string, number][] = [
    ["m", 1],
    ["S", 1000],
    ["M", 60_000],
    ["H", 3_600_000],
  ];
  for (const [unit, length] of units) {
    const value = Math.ceil(milliseconds / length);
    if (value < 1e8) return `${value}${unit}`;
  }
  return "99999999H";
}
