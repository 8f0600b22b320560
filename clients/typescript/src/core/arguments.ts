/** Checks of arguments, which JavaScript callers can get wrong in more ways than TypeScript lets. Nothing was sent when they fail. */

import { InvalidArgumentError } from "./errors.js";

const MAX_UINT64 = 2n ** 64n - 1n;

/** Throws the error of an argument, which is named by its path in the request. */
export function refuse(path: string, description: string): never {
  throw new InvalidArgumentError(`${path}: ${description}`, [{ path, description }]);
}

/** A value as an error message shows it. */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "object" && value !== null) return `an object of ${value.constructor.name || "no class"}`;
  if (typeof value === "function") return "a function";
  return String(value);
}

/** Fails for names that are not options; TypeScript refuses them already. */
export function checkNames(given: object, known: readonly string[]): void {
  if (typeof given !== "object" || (given as object | null) === null)
    refuse("options", `expected an object, got ${shown(given)}`);
  for (const name of Object.keys(given)) {
    if (!known.includes(name)) refuse(name, `there is no such option; there are ${known.join(", ")}`);
  }
}

/** A 64-bit integer, not negative. A number is taken up to 2^53 - 1, beyond which it may have lost bits. */
export function uint64(path: string, value: bigint | number): bigint {
  if (typeof value === "bigint") {
    if (value < 0n || value > MAX_UINT64) refuse(path, `expected an integer from 0 to 2^64 - 1, got ${value}n`);
    return value;
  }
  if (typeof value !== "number") refuse(path, `expected a bigint or an integer, got ${shown(value)}`);
  if (!Number.isSafeInteger(value) || value < 0) {
    refuse(path, `expected an integer from 0 to 2^53 - 1, or a bigint to 2^64 - 1, got ${value}`);
  }
  return BigInt(value);
}

function integer(path: string, value: number, least: number, most: number): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most) {
    refuse(path, `expected an integer from ${least} to ${most}, got ${shown(value)}`);
  }
  return value;
}

export function int32(path: string, value: number): number {
  return integer(path, value, -(2 ** 31), 2 ** 31 - 1);
}

export function uint32(path: string, value: number): number {
  return integer(path, value, 0, 2 ** 32 - 1);
}

/** Any number: NaN and infinities are the server's to judge. */
export function number(path: string, value: number): number {
  if (typeof value !== "number") refuse(path, `expected a number, got ${shown(value)}`);
  return value;
}

export function flag(path: string, value: boolean): boolean {
  if (typeof value !== "boolean") refuse(path, `expected true or false, got ${shown(value)}`);
  return value;
}

export function list<T>(path: string, value: readonly T[]): readonly T[] {
  const given: unknown = value;
  if (!Array.isArray(given)) refuse(path, `expected an array, got ${shown(given)}`);
  return value;
}

/** The value that a name stands for. */
export function choice<N extends string, V>(path: string, name: N, values: Readonly<Record<N, V>>): V {
  if (typeof name !== "string" || !Object.hasOwn(values, name)) {
    const names = Object.keys(values).map((known) => JSON.stringify(known));
    refuse(path, `expected ${names.join(", ")}, got ${shown(name)}`);
  }
  return values[name];
}
