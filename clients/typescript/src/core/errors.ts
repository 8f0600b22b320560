/** Why a call has no result. */

/** gRPC's names of the codes that a call can end with. */
export type Code =
  | "CANCELLED"
  | "UNKNOWN"
  | "INVALID_ARGUMENT"
  | "DEADLINE_EXCEEDED"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "FAILED_PRECONDITION"
  | "ABORTED"
  | "OUT_OF_RANGE"
  | "UNIMPLEMENTED"
  | "INTERNAL"
  | "UNAVAILABLE"
  | "DATA_LOSS"
  | "UNAUTHENTICATED";

/** What an error may have beside its message. */
export interface ErrorDetails {
  /** The reason of the server's ErrorInfo. */
  readonly reason?: string | undefined;
  /** The error that led to this one. */
  readonly cause?: unknown;
}

/** The most characters of the message of an error: a server, or a name in its answer, may be of any length. */
const LONGEST_MESSAGE = 1 << 10;

/** The beginning of a message that is too long. */
function bounded(message: string): string {
  return message.length <= LONGEST_MESSAGE ? message : `${message.slice(0, LONGEST_MESSAGE - 3)}...`;
}

/** The class of all errors that calls reject with. */
export class EvenkeelError extends Error {
  /** The name of the class. */
  override readonly name: string = "EvenkeelError";
  /** gRPC's code. */
  readonly code: Code;
  /** The reason of the server's ErrorInfo, such as `OVERLOADED`; `undefined` if it gave none. */
  readonly reason: string | undefined;

  /** An error with gRPC's code. */
  constructor(code: Code, message: string, { reason, cause }: ErrorDetails = {}) {
    super(bounded(message), cause === undefined ? undefined : { cause });
    this.code = code;
    this.reason = reason;
  }
}

/** A field that does not fit. */
export interface FieldViolation {
  /** The field's path in the request, with the contract's names: `weight.shape`, `gradients[3].data`, `channel_axis`. */
  readonly path: string;
  /** Why it is refused. */
  readonly description: string;
}

/** Arguments do not fit the call or each other. The client finds some of these faults before it sends anything. */
export class InvalidArgumentError extends EvenkeelError {
  /** The name of the class. */
  override readonly name: string = "InvalidArgumentError";
  /** The fields that are wrong. */
  readonly fields: readonly FieldViolation[];

  /** An error about these fields. */
  constructor(message: string, fields: readonly FieldViolation[], details?: ErrorDetails) {
    super("INVALID_ARGUMENT", message, details);
    this.fields = fields;
  }
}

/** The server is overloaded and has refused the call at once. The client has made its retries, or no time was left for them. */
export class OverloadedError extends EvenkeelError {
  /** The name of the class. */
  override readonly name: string = "OverloadedError";
  /** After how many milliseconds the server takes the call again; `undefined` if it does not say. */
  readonly retryAfterMs: number | undefined;

  /** A refusal, with the delay after which the server would take the call if it names one. */
  constructor(message: string, retryAfterMs: number | undefined, details?: ErrorDetails) {
    super("RESOURCE_EXHAUSTED", message, details);
    this.retryAfterMs = retryAfterMs;
  }
}

/** A message, or the metadata, is larger than the server takes. The `reason` tells which. */
export class MessageTooLargeError extends EvenkeelError {
  /** The name of the class. */
  override readonly name: string = "MessageTooLargeError";

  /** A refusal of a message. */
  constructor(message: string, details: ErrorDetails = { reason: "MESSAGE_TOO_LARGE" }) {
    super("RESOURCE_EXHAUSTED", message, details);
  }
}

/** A stream needs more memory than the server has for it. The client makes two passes by itself where that helps. */
export class NeedsTwoPassesError extends EvenkeelError {
  /** The name of the class. */
  override readonly name: string = "NeedsTwoPassesError";

  /** A refusal of a stream that can be made only once. */
  constructor(message: string, details: ErrorDetails = { reason: "NEEDS_TWO_PASSES" }) {
    super("RESOURCE_EXHAUSTED", message, details);
  }
}

/** A gradient with elements that are NaN or infinite. */
export interface NonfiniteGradient {
  /** Its place in the call. */
  readonly index: number;
  /** Its name, which the server shortens to 64 bytes. */
  readonly name: string;
}

/** What makes a norm NaN or infinite. There may be no such elements: the norm of finite ones can be beyond float64. */
export interface Nonfinite {
  /** The norm. */
  readonly totalNorm: number;
  /** The number of elements that are NaN. */
  readonly nanElements: bigint;
  /** The number of elements that are infinite. */
  readonly infiniteElements: bigint;
  /** The number of gradients with such elements. */
  readonly nonfiniteGradients: bigint;
  /** The first of these gradients, 16 at most. */
  readonly gradients: readonly NonfiniteGradient[];
}

/** A norm is NaN or infinite, and `errorIfNonfinite` is set. Nothing was clipped. */
export class NonfiniteNormError extends EvenkeelError implements Nonfinite {
  /** The name of the class. */
  override readonly name: string = "NonfiniteNormError";
  readonly totalNorm: number;
  readonly nanElements: bigint;
  readonly infiniteElements: bigint;
  readonly nonfiniteGradients: bigint;
  readonly gradients: readonly NonfiniteGradient[];

  /** A refusal of gradients, with what makes their norm NaN or infinite. */
  constructor(message: string, nonfinite: Nonfinite, details: ErrorDetails = { reason: "NONFINITE_NORM" }) {
    super("FAILED_PRECONDITION", message, details);
    this.totalNorm = nonfinite.totalNorm;
    this.nanElements = nonfinite.nanElements;
    this.infiniteElements = nonfinite.infiniteElements;
    this.nonfiniteGradients = nonfinite.nonfiniteGradients;
    this.gradients = nonfinite.gradients;
  }
}

/** The call took longer than its `timeoutMs`. */
export class DeadlineExceededError extends EvenkeelError {
  /** The name of the class. */
  override readonly name: string = "DeadlineExceededError";

  /** The end of a call at its deadline. */
  constructor(message: string, details?: ErrorDetails) {
    super("DEADLINE_EXCEEDED", message, details);
  }
}

/** The call was cancelled by its `signal`, whose reason is the `cause`, or by the client's end. */
export class CancelledError extends EvenkeelError {
  /** The name of the class. */
  override readonly name: string = "CancelledError";

  /** The end of a call by its caller's signal. */
  constructor(message: string, details?: ErrorDetails) {
    super("CANCELLED", message, details);
  }
}

/** The server wants a token, and the client has none or a wrong one. */
export class UnauthenticatedError extends EvenkeelError {
  /** The name of the class. */
  override readonly name: string = "UnauthenticatedError";

  /** A refusal of a token, or of a call without one. */
  constructor(message: string, details?: ErrorDetails) {
    super("UNAUTHENTICATED", message, details);
  }
}

/** There is no connection, or it broke: the server is down, does not exist, or is about to stop. */
export class UnavailableError extends EvenkeelError {
  /** The name of the class. */
  override readonly name: string = "UnavailableError";

  /** The end of a call without a connection. */
  constructor(message: string, details?: ErrorDetails) {
    super("UNAVAILABLE", message, details);
  }
}

/** The server, or the transport of a browser, does not have what the call needs. */
export class UnimplementedError extends EvenkeelError {
  /** The name of the class. */
  override readonly name: string = "UnimplementedError";

  /** A refusal of what the server or the client cannot do. */
  constructor(message: string, details?: ErrorDetails) {
    super("UNIMPLEMENTED", message, details);
  }
}

/** The server failed, or its answer breaks the contract: then it is another program or of another version. */
export class InternalError extends EvenkeelError {
  /** The name of the class. */
  override readonly name: string = "InternalError";

  /** A fault of the server or of the client. */
  constructor(message: string, details?: ErrorDetails) {
    super("INTERNAL", message, details);
  }
}

/** An answer that breaks the contract. */
export function protocolError(field: string, fault: string): InternalError {
  return new InternalError(`the server's answer breaks the contract: ${field} ${fault}`);
}
