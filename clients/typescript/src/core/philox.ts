/** The mask of a dropout, computed without a server. */

import { checkNames, number, refuse, shown, uint64 } from "./arguments.js";

/** Options of {@link keepMask}. */
export interface KeepMaskOptions {
  /** The probability that an element is dropped, in [0, 1]. */
  readonly p: number;
  /** The key of the stream of draws: 64 bits. Default: 0. */
  readonly seed?: bigint | number | undefined;
  /** The index of the first draw in the stream. Default: 0. */
  readonly offset?: bigint | number | undefined;
}

/** The draws of a block. */
const BLOCK = 8;
const ROUNDS = 10;
const LOW_32 = 0xffff_ffffn;

/** The upper half of the product of two unsigned numbers of 32 bits. */
function high32(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + (Math.imul(aLow, bLow) >>> 16);
  const cross = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + (middle >>> 16) + (cross >>> 16)) >>> 0;
}

/** A 128-bit product as four words. */
interface Product {
  highHigh: number;
  highLow: number;
  lowHigh: number;
  lowLow: number;
}

const TWO_32 = 2 ** 32;

/** Multiplies two 64-bit numbers, each given as its high and low word. */
function multiply(aHigh: number, aLow: number, bHigh: number, bLow: number, product: Product): void {
  const middle = high32(aLow, bLow) + (Math.imul(aLow, bHigh) >>> 0) + (Math.imul(aHigh, bLow) >>> 0);
  const upper =
    high32(aLow, bHigh) + high32(aHigh, bLow) + (Math.imul(aHigh, bHigh) >>> 0) + Math.floor(middle / TWO_32);
  product.lowLow = Math.imul(aLow, bLow) >>> 0;
  product.lowHigh = middle >>> 0;
  product.highLow = upper >>> 0;
  product.highHigh = (high32(aHigh, bHigh) + Math.floor(upper / TWO_32)) >>> 0;
}

/** Writes the draws of a block: Philox4x64-10 with the key (seed, 0), as NumPy has it. */
function drawBlock(seed: bigint, block: bigint, draws: Uint32Array): void {
  const first: Product = { highHigh: 0, highLow: 0, lowHigh: 0, lowLow: 0 };
  const second: Product = { highHigh: 0, highLow: 0, lowHigh: 0, lowLow: 0 };
  const counter = block + 1n; // NumPy increments the counter before it makes a block
  let [c0High, c0Low] = [Number(counter >> 32n), Number(counter & LOW_32)];
  let [c1High, c1Low, c2High, c2Low, c3High, c3Low] = [0, 0, 0, 0, 0, 0];
  let [k0High, k0Low] = [Number(seed >> 32n), Number(seed & LOW_32)];
  let [k1High, k1Low] = [0, 0];
  for (let round = 0; round < ROUNDS; round += 1) {
    multiply(0xd2e7470e, 0xe14c6c93, c0High, c0Low, first);
    multiply(0xca5a8263, 0x95121157, c2High, c2Low, second);
    c0High = (second.highHigh ^ c1High ^ k0High) >>> 0;
    c0Low = (second.highLow ^ c1Low ^ k0Low) >>> 0;
    c1High = second.lowHigh;
    c1Low = second.lowLow;
    c2High = (first.highHigh ^ c3High ^ k1High) >>> 0;
    c2Low = (first.highLow ^ c3Low ^ k1Low) >>> 0;
    c3High = first.lowHigh;
    c3Low = first.lowLow;
    const k0Sum = k0Low + 0x7f4a7c15;
    k0Low = k0Sum >>> 0;
    k0High = (k0High + 0x9e3779b9 + Math.floor(k0Sum / TWO_32)) >>> 0;
    const k1Sum = k1Low + 0x84caa73b;
    k1Low = k1Sum >>> 0;
    k1High = (k1High + 0xbb67ae85 + Math.floor(k1Sum / TWO_32)) >>> 0;
  }
  draws.set([c0Low, c0High, c1Low, c1High, c2Low, c2High, c3Low, c3High]);
}

/**
 * Which of `n` draws keep their element: the mask that `dropout` has for the same p, seed and offset.
 *
 * @param n - The number of draws: of elements, or (`"channel"`, `"feature_alpha"`) of samples times channels.
 * @returns A byte for each draw: 1 for keep, 0 for drop.
 * @throws {@link InvalidArgumentError} for a p outside of [0, 1], and for draws beyond the 2^64 of a stream.
 */
export function keepMask(n: number, options: KeepMaskOptions): Uint8Array {
  checkNames(options, ["p", "seed", "offset"]);
  if (!Number.isSafeInteger(n) || n < 0) refuse("n", `expected an integer that is not negative, got ${shown(n)}`);
  const p = number("p", options.p);
  if (!(p >= 0 && p <= 1)) refuse("p", `expected a number from 0 to 1, got ${p}`);
  const seed = uint64("seed", options.seed ?? 0n);
  const offset = uint64("offset", options.offset ?? 0n);
  if (offset + BigInt(n) > 2n ** 64n) refuse("offset", "expected draws below 2^64, where a stream ends");
  const threshold = Math.ceil(p * TWO_32); // 2^32 for p = 1
  const keep = new Uint8Array(n);
  const draws = new Uint32Array(BLOCK);
  const skipped = Number(offset % BigInt(BLOCK));
  let block = offset / BigInt(BLOCK);
  for (let start = -skipped; start < n; start += BLOCK) {
    drawBlock(seed, block, draws);
    block += 1n;
    draws.forEach((draw, index) => {
      // What lies outside of the array is not written.
      if (draw >= threshold) keep[start + index] = 1;
    });
  }
  return keep;
}

/**
 * The bits of a mask as bytes.
 *
 * @param mask - The `mask` of a dropout: a bit for each draw, the least significant first.
 * @param n - The number of draws.
 * @returns A byte for each draw: 1 for keep, 0 for drop.
 */
export function unpackMask(mask: Uint8Array, n: number): Uint8Array {
  if (!Number.isSafeInteger(n) || n < 0 || n > 8 * mask.length) {
    refuse("n", `expected an integer from 0 to ${8 * mask.length}, got ${shown(n)}`);
  }
  const keep = new Uint8Array(n);
  mask.forEach((byte, index) => {
    for (let bit = 0; bit < 8; bit += 1) {
      if ((byte >>> bit) % 2 === 1) keep[8 * index + bit] = 1;
    }
  });
  return keep;
}
