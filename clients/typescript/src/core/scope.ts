/** A call of the user: its deadline and its cancellation, also over several calls on the wire. */

import { checkNames, number, refuse, shown } from "./arguments.js";
import { CancelledError, DeadlineExceededError, type EvenkeelError } from "./errors.js";

import { follow } from "./signals.js";

/** What each call takes beside its own options. */
export interface CallOptions {
  /** Cancels the call. The server stops working on it. */
  readonly signal?: AbortSignal | undefined;
  /** The time limit in milliseconds, over retries and passes. Default: the client's; `Infinity`: none. */
  readonly timeoutMs?: number | undefined;
}

/** The names of {@link CallOptions}. */
export const CALL_OPTIONS = ["signal", "timeoutMs"] as const;

/** The longest time that a timer can wait. */
const LONGEST_TIMER = 2 ** 31 - 1;

export function timeoutOf(path: string, timeoutMs: number): number {
  if (!(number(path, timeoutMs) >= 0)) refuse(path, `expected a number of milliseconds, got ${timeoutMs}`);
  return timeoutMs;
}

/** Fails for names that a call does not have. */
export function checkOptions(options: CallOptions, known: readonly string[]): void {
  checkNames(options, [...known, ...CALL_OPTIONS]);
}

/** The time and the signal of a call. */
export class Scope {
  readonly #controller = new AbortController();
  readonly #deadline: number;
  readonly #expired: () => void;
  readonly #end: (() => void)[] = [];

  constructor({ signal, timeoutMs }: CallOptions, defaultTimeoutMs: number, ended: AbortSignal) {
    const limit = timeoutMs === undefined ? defaultTimeoutMs : timeoutOf("timeoutMs", timeoutMs);
    if (signal !== undefined && !(signal instanceof AbortSignal))
      refuse("signal", `expected an AbortSignal, got ${shown(signal)}`);
    this.#deadline = performance.now() + limit;
    this.#expired = (): void => {
      this.#abort(new DeadlineExceededError(`the call did not end within ${limit} ms`));
    };
    if (limit <= 0) {
      this.#expired();
    } else if (limit <= LONGEST_TIMER) {
      const timer = setTimeout(this.#expired, limit);
      this.#end.push(() => {
        clearTimeout(timer);
      });
    }
    if (signal !== undefined) {
      this.#follow(signal, () => cancelled(signal.reason));
    }
    this.#follow(ended, () => new CancelledError("the client was closed"));
  }

  /** Aborted when the call has to end, with the error for the user as the reason. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The milliseconds that are left; infinite without a deadline. */
  get leftMs(): number {
    return this.#deadline - performance.now();
  }

  /** Fails if the call has to end. A timer may come late, where much is computed. */
  check(): void {
    if (this.leftMs <= 0) this.#expired();
    this.signal.throwIfAborted();
  }

  /** Releases the timer and the signals. */
  dispose(): void {
    for (const end of this.#end) end();
  }

  /** What a promise comes to, unless the call has to end before. */
  async race<T>(promise: Promise<T>): Promise<T> {
    const { signal } = this;
    // The promise may be that of several calls, and fail when none of them waits any more.
    promise.catch(() => undefined);
    signal.throwIfAborted();
    return new Promise<T>((resolve, reject) => {
      const abort = (): void => {
        reject(signal.reason as EvenkeelError);
      };
      signal.addEventListener("abort", abort, { once: true });
      promise.then(resolve, reject).finally(() => {
        signal.removeEventListener("abort", abort);
      });
    });
  }

  /** Waits. */
  async sleep(milliseconds: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const slept = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, milliseconds);
    });
    try {
      await this.race(slept);
    } finally {
      clearTimeout(timer);
    }
  }

  #abort(error: EvenkeelError): void {
    this.#controller.abort(error);
  }

  #follow(signal: AbortSignal, error: () => EvenkeelError): void {
    const abort = (): void => {
      this.#abort(error());
    };
    if (signal.aborted) {
      abort();
    } else {
      this.#end.push(follow(signal, abort));
    }
  }
}

/** The error of a call whose signal was aborted. `AbortSignal.timeout` is a deadline. */
function cancelled(reason: unknown): EvenkeelError {
  return reason instanceof Error && reason.name === "TimeoutError"
    ? new DeadlineExceededError("the time of the signal is over", { cause: reason })
    : new CancelledError("the call was cancelled by its signal", { cause: reason });
}
