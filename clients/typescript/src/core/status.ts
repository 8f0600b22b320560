/** Turns the status of a call into an error. */

import { fromBinary } from "@bufbuild/protobuf";

import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/details_pb.js";
import {
  CancelledError,
  DeadlineExceededError,
  EvenkeelError,
  InternalError,
  InvalidArgumentError,
  MessageTooLargeError,
  NeedsTwoPassesError,
  NonfiniteNormError,
  OverloadedError,
  UnauthenticatedError,
  UnavailableError,
  UnimplementedError,
  type Code,
  type ErrorDetails,
  type FieldViolation,
  type Nonfinite,
} from "./errors.js";

/** The `domain` of the service's ErrorInfo; the same reason under another domain means something else. */
const DOMAIN = "evenkeel";

/** The codes by their numbers. */
export const CODES: readonly (Code | "OK")[] = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

/** A detail of a status: a message of this type. */
export interface Detail {
  readonly type: string;
  readonly value: Uint8Array;
}

/** How a call ended, if not well. */
export interface Status {
  readonly code: Code;
  readonly message: string;
  readonly details: readonly Detail[];
  readonly cause?: unknown;
}

/** A call's end that is not yet an error with a type. Transports throw it. */
export class StatusFault extends Error {
  readonly status: Status;

  constructor(code: Code, message: string, details: readonly Detail[] = [], cause?: unknown) {
    super(message);
    this.status = { code, message, details, cause };
  }
}

interface Known {
  readonly fields: readonly FieldViolation[];
  readonly reason: string | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  readonly hasRetry: boolean;
  readonly retryAfterMs: number | undefined;
}

/** What this client knows of the details; details that cannot be read are left out. */
function read(details: readonly Detail[]): Known {
  let fields: readonly FieldViolation[] = [];
  let reason: string | undefined;
  let metadata: Readonly<Record<string, string>> = {};
  let retryAfterMs: number | undefined;
  let hasRetry = false;
  for (const { type, value } of details) {
    try {
      if (type === "google.rpc.BadRequest") {
        const { fieldViolations } = fromBinary(BadRequestSchema, value);
        fields = fieldViolations.map(({ field, description }) => ({ path: field, description }));
      } else if (type === "google.rpc.ErrorInfo") {
        const info = fromBinary(ErrorInfoSchema, value);
        if (info.domain === DOMAIN) ({ reason, metadata } = info);
      } else if (type === "google.rpc.RetryInfo") {
        hasRetry = true;
        const { retryDelay } = fromBinary(RetryInfoSchema, value);
        const delay = retryDelay === undefined ? 0 : Number(retryDelay.seconds) * 1000 + retryDelay.nanos / 1e6;
        // A delay that is not above 0 says nothing.
        if (delay > 0) retryAfterMs = delay;
      }
    } catch {
      // The status has a code and a message all the same.
    }
  }
  return { fields, reason, metadata, hasRetry, retryAfterMs };
}

function number(text: string | undefined): number | undefined {
  if (text === undefined || text === "") return undefined;
  if (/^[+-]?inf(inity)?$/i.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
  const value = Number(text);
  return Number.isNaN(value) && !/^nan$/i.test(text) ? undefined : value;
}

function count(text: string | undefined): bigint {
  return text !== undefined && /^\d+$/.test(text) ? BigInt(text) : 0n;
}

function nonfinite(metadata: Readonly<Record<string, string>>): Nonfinite | undefined {
  const totalNorm = number(metadata["total_norm"]);
  if (totalNorm === undefined) return undefined;
  const gradients = Object.entries(metadata)
    .filter(([key]) => /^gradient_\d+$/.test(key))
    .map(([key, name]) => ({ index: Number(key.slice("gradient_".length)), name }))
    .sort((a, b) => a.index - b.index);
  return {
    totalNorm,
    nanElements: count(metadata["nan_elements"]),
    infiniteElements: count(metadata["infinite_elements"]),
    nonfiniteGradients: count(metadata["nonfinite_gradients"]),
    gradients,
  };
}

/** The error that a status means. */
export function errorOf({ code, message, details: list, cause }: Status): EvenkeelError {
  const known = read(list);
  const details: ErrorDetails = { reason: known.reason, cause };
  switch (code) {
    case "INVALID_ARGUMENT":
      return new InvalidArgumentError(message, known.fields, details);
    case "RESOURCE_EXHAUSTED":
      if (known.reason === "MESSAGE_TOO_LARGE" || known.reason === "METADATA_TOO_LARGE") {
        return new MessageTooLargeError(message, details);
      }
      if (known.reason === "NEEDS_TWO_PASSES") return new NeedsTwoPassesError(message, details);
      if (known.reason === "OVERLOADED" || known.hasRetry)
        return new OverloadedError(message, known.retryAfterMs, details);
      return new EvenkeelError(code, message, details);
    case "FAILED_PRECONDITION": {
      const norm = known.reason === "NONFINITE_NORM" ? nonfinite(known.metadata) : undefined;
      return norm === undefined
        ? new EvenkeelError(code, message, details)
        : new NonfiniteNormError(message, norm, details);
    }
    case "DEADLINE_EXCEEDED":
      return new DeadlineExceededError(message, details);
    case "CANCELLED":
      return new CancelledError(message, details);
    case "UNAUTHENTICATED":
      return new UnauthenticatedError(message, details);
    case "UNAVAILABLE":
      return new UnavailableError(message, details);
    case "UNIMPLEMENTED":
      return new UnimplementedError(message, details);
    case "INTERNAL":
      return new InternalError(message, details);
    case "UNKNOWN":
    case "NOT_FOUND":
    case "ALREADY_EXISTS":
    case "PERMISSION_DENIED":
    case "ABORTED":
    case "OUT_OF_RANGE":
    case "DATA_LOSS":
      return new EvenkeelError(code, message, details);
  }
}
