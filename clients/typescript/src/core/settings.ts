/** The settings that clients in Node and in browsers have in common. */

import { flag, refuse, shown } from "./arguments.js";
import type { CallerSettings } from "./caller.js";
import { timeoutOf } from "./scope.js";

/** Settings of every client. */
export interface CommonOptions {
  /** The token of each call, sent as `authorization: Bearer TOKEN`. It goes to another machine only over TLS. */
  readonly token?: string | undefined;
  /** Let the token go to another machine without TLS, where anyone on the network can read it. Default: false. */
  readonly allowPlaintext?: boolean | undefined;
  /** The time limit of calls in milliseconds, over retries and passes. Default: 60,000; `Infinity`: none. */
  readonly timeoutMs?: number | undefined;
  /** How often a call is made again that an overloaded server refused, or that found none. Default: 4. */
  readonly retries?: number | undefined;
  /** Takes warnings, such as of a server of another version. Default: those of the platform. */
  readonly onWarning?: ((message: string) => void) | undefined;
}

/** The names of {@link CommonOptions}. */
export const COMMON_OPTIONS = [
  "token",
  "allowPlaintext",
  "timeoutMs",
  "retries",
  "onWarning",
] as const satisfies (keyof CommonOptions)[];

const DEFAULT_TIMEOUT_MS = 60_000;
const DEFAULT_RETRIES = 4;

export function callerSettings({ timeoutMs, retries }: CommonOptions): CallerSettings {
  return {
    timeoutMs: timeoutMs === undefined ? DEFAULT_TIMEOUT_MS : timeoutOf("timeoutMs", timeoutMs),
    retries: retries === undefined ? DEFAULT_RETRIES : count("retries", retries, 0),
  };
}

/** A number of things. */
export function count(path: string, value: number, least: number): number {
  if (!Number.isSafeInteger(value) || value < least)
    refuse(path, `expected an integer of at least ${least}, got ${shown(value)}`);
  return value;
}

/** Whether what goes to this address does not leave the machine. */
export function isLoopback(url: URL): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, "").toLowerCase();
  return host === "localhost" || /^127(\.\d+){3}$/.test(host) || host === "::1" || host.startsWith("::ffff:7f");
}

/** The header that the token makes; `undefined` without one. */
export function authorization({ token, allowPlaintext = false }: CommonOptions, isSafe: boolean): string | undefined {
  flag("allowPlaintext", allowPlaintext);
  if (token === undefined) return undefined;
  // The error repeats no secret.
  if (typeof token !== "string" || !/^[\x21-\x7e]+$/.test(token)) {
    refuse("token", "expected visible ASCII characters: trim the line break of a file");
  }
  if (!isSafe && !allowPlaintext) {
    refuse(
      "token",
      "the server is another machine, and the token would not be encrypted: take https://, or allowPlaintext",
    );
  }
  return `Bearer ${token}`;
}
