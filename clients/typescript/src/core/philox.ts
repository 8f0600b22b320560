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
  // No sum reaches 2^32.
  const middle = (Math.imul(aHigh, bLow) + (Math.imul(aLow, bLow) >>> 16)) >>> 0;
  const cross = (Math.imul(aLow, bHigh) + (middle & 0xffff)) >>> 0;
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (cross >>> 16)) >>> 0;
}

const TWO_32 = 2 ** 32;

/** A 128-bit product as four words; one for all, since masks have millions of blocks. */
const product = { highHigh: 0, highLow: 0, lowHigh: 0, lowLow: 0 };

/** Multiplies two 64-bit numbers, each given as its high and low word. */
function multiply(aHigh: number, aLow: number, bHigh: number, bLow: number): void {
  const middle = high32(aLow, bLow) + (Math.imul(aLow, bHigh) >>> 0) + (Math.imul(aHigh, bLow) >>> 0);
  const carry = middle >= 2 * TWO_32 ? 2 : middle >= TWO_32 ? 1 : 0;
  const upper = high32(aLow, bHigh) + high32(aHigh, bLow) + (Math.imul(aHigh, bHigh) >>> 0) + carry;
  const upperCarry = upper >= 2 * TWO_32 ? 2 : upper >= TWO_32 ? 1 : 0;
  product.lowLow = Math.imul(aLow, bLow) | 0;
  product.lowHigh = middle | 0;
  product.highLow = upper | 0;
  product.highHigh = (high32(aHigh, bHigh) + upperCarry) | 0;
}

/** A block of draws: Philox4x64-10 with the key (seed, 0), as NumPy has it. */
class Block {
  readonly draws = new Uint32Array(BLOCK);
  readonly #seedHigh: number;
  readonly #seedLow: number;
  #counterHigh: number;
  #counterLow: number;

  constructor(seed: bigint, block: bigint) {
    this.#seedHigh = Number(seed >> 32n) | 0;
    this.#seedLow = Number(seed & LOW_32) | 0;
    this.#counterHigh = Number(block >> 32n);
    this.#counterLow = Number(block & LOW_32);
  }

  /** Computes the next block. NumPy increments the counter before it makes one. */
  next(): void {
    this.#counterLow += 1;
    if (this.#counterLow === TWO_32) {
      this.#counterLow = 0;
      this.#counterHigh += 1;
    }
    let c0High = this.#counterHigh | 0;
    let c0Low = this.#counterLow | 0;
    let c1High = 0;
    let c1Low = 0;
    let c2High = 0;
    let c2Low = 0;
    let c3High = 0;
    let c3Low = 0;
    let k0High = this.#seedHigh;
    let k0Low = this.#seedLow;
    let k1High = 0;
    let k1Low = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      multiply(0xd2e7470e, 0xe14c6c93, c0High, c0Low);
      const first2High = product.highHigh ^ c3High ^ k1High;
      const first2Low = product.highLow ^ c3Low ^ k1Low;
      c3High = product.lowHigh;
      c3Low = product.lowLow;
      multiply(0xca5a8263, 0x95121157, c2High, c2Low);
      c0High = product.highHigh ^ c1High ^ k0High;
      c0Low = product.highLow ^ c1Low ^ k0Low;
      c1High = product.lowHigh;
      c1Low = product.lowLow;
      c2High = first2High;
      c2Low = first2Low;
      const k0Sum = (k0Low >>> 0) + 0x7f4a7c15;
      k0High = (k0High + 0x9e3779b9 + (k0Sum >= TWO_32 ? 1 : 0)) | 0;
      k0Low = k0Sum | 0;
      const k1Sum = (k1Low >>> 0) + 0x84caa73b;
      k1High = (k1High + 0xbb67ae85 + (k1Sum >= TWO_32 ? 1 : 0)) | 0;
      k1Low = k1Sum | 0;
    }
    const { draws } = this;
    draws[0] = c0Low;
    draws[1] = c0High;
    draws[2] = c1Low;
    draws[3] = c1High;
    draws[4] = c2Low;
    draws[5] = c2High;
    draws[6] = c3Low;
    draws[7] = c3High;
  }
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
  const skipped = Number(offset % BigInt(BLOCK));
  const block = new Block(seed, offset / BigInt(BLOCK));
  for (let start = -skipped; start < n; start += BLOCK) {
    block.next();
    for (let index = Math.max(-start, 0); index < BLOCK && start + index < n; index += 1) {
      if ((block.draws[index] ?? 0) >= threshold) keep[start + index] = 1;
    }
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
