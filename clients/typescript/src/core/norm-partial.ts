/** Norms that merge. */

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";

import { NormPartialSchema, type NormPartial as Message } from "../gen/evenkeel/v1/tensor_ops_pb.js";
import { refuse } from "./arguments.js";
import { fromBytes, MAX_SUM_BYTES, rootOfUnits, significant, toBytes, valueOfUnits } from "./exact.js";

/** More elements are in no partial, and in no partials that are merged. */
const MAX_ELEMENTS = 2n ** 59n;

/** The bits that the terms of a sum have at most, in units of 2^-2148: a float64 is below 2^1024, its square below 2^2048. */
const TERM_BITS = { 1: 2148n + 1024n, 2: 2148n + 2048n } as const;

interface Parts {
  readonly normType: number;
  readonly elements: bigint;
  readonly nanElements: bigint;
  readonly infiniteElements: bigint;
  readonly largest: number;
  readonly sum: bigint;
}

/**
 * The exact norm of some elements, in a form that merges: the merged norm has the same bits for any order and any distribution of
 * the elements. Made by `measureGradients`; programs pass it to each other with {@link NormPartial.toBytes}.
 */
export class NormPartial {
  readonly #parts: Parts;

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * The norm of the elements of all these partials, in any order. The partials themselves stay as they are.
   *
   * @throws {@link InvalidArgumentError} if the partials are of different orders, or together of more than 2^59 elements.
   */
  static merge(first: NormPartial, ...others: readonly NormPartial[]): NormPartial {
    return others.reduce((merged, other) => merged.merge(other), first);
  }

  /** The norm of the elements of both; see {@link NormPartial.merge}. */
  merge(other: NormPartial): NormPartial {
    const [a, b] = [this.#parts, other.#parts];
    if (a.normType !== b.normType) refuse("norm_type", `expected ${a.normType}, got ${b.normType}`);
    const elements = a.elements + b.elements;
    if (elements > MAX_ELEMENTS) refuse("elements", "expected no more than 2^59, with those it is merged with");
    return new NormPartial({
      normType: a.normType,
      elements,
      nanElements: a.nanElements + b.nanElements,
      infiniteElements: a.infiniteElements + b.infiniteElements,
      largest: Math.max(a.largest, b.largest),
      sum: a.sum + b.sum,
    });
  }

  /** The value of the norm, rounded once: NaN if an element is NaN, else infinite if an element is. For `totalNorm` of a clipping. */
  get totalNorm(): number {
    const { normType, nanElements, infiniteElements, largest, sum } = this.#parts;
    if (nanElements > 0n) return NaN;
    if (infiniteElements > 0n) return Infinity;
    if (normType === Infinity) return largest;
    return normType === 1 ? valueOfUnits(sum) : rootOfUnits(sum);
  }

  /** The order of the norm: 1, 2 or Infinity. */
  get normType(): number {
    return this.#parts.normType;
  }

  /** The number of elements, finite or not. */
  get elements(): bigint {
    return this.#parts.elements;
  }

  /** The number of elements that are NaN. */
  get nanElements(): bigint {
    return this.#parts.nanElements;
  }

  /** The number of elements that are infinite. */
  get infiniteElements(): bigint {
    return this.#parts.infiniteElements;
  }

  /** The message `evenkeel.v1.NormPartial`, which a program in any language can read: at most some 600 bytes. */
  toBytes(): Uint8Array {
    return toBinary(NormPartialSchema, this.toMessage());
  }

  /**
   * Reads the bytes that {@link NormPartial.toBytes} writes.
   *
   * @throws {@link InvalidArgumentError} for other bytes, and for parts that no elements have.
   */
  static fromBytes(bytes: Uint8Array): NormPartial {
    let message: Message;
    try {
      message = fromBinary(NormPartialSchema, bytes);
    } catch (error) {
      refuse("partial", `the bytes are no NormPartial: ${String(error)}`);
    }
    return NormPartial.fromMessage(message);
  }

  /** @internal */
  toMessage(): Message {
    const { sum, ...others } = this.#parts;
    return create(NormPartialSchema, { ...others, sum: toBytes(sum) });
  }

  /** @internal */
  static fromMessage({ normType, elements, nanElements, infiniteElements, largest, sum }: Message): NormPartial {
    if (normType !== 1 && normType !== 2 && normType !== Infinity) {
      refuse("norm_type", `expected 1, 2 or infinity, whose sums are exact, got ${normType}`);
    }
    if (elements > MAX_ELEMENTS) refuse("elements", "expected no more than 2^59");
    const finite = elements - nanElements - infiniteElements;
    if (finite < 0n) refuse("elements", "expected at least as many as nan_elements and infinite_elements together");
    const mayHaveLargest = normType === Infinity && finite > 0n;
    if (!(largest >= 0 && largest < Infinity) || (largest > 0 && !mayHaveLargest)) {
      refuse("largest", `expected a finite number, above 0 only with norm_type infinity, got ${largest}`);
    }
    const bytes = significant(sum);
    if (bytes.length > MAX_SUM_BYTES) refuse("sum", `expected at most ${MAX_SUM_BYTES} bytes, got ${bytes.length}`);
    const value = fromBytes(bytes);
    if (value !== 0n) {
      if (normType === Infinity) refuse("sum", "expected none with norm_type infinity");
      if (normType === 1 && value % 2n ** 1074n !== 0n) {
        refuse("sum", "expected a multiple of 2^1074 with norm_type 1, as every float64 is");
      }
      const bits = normType === 1 ? TERM_BITS[1] : TERM_BITS[2];
      if (value >> bits >= finite) refuse("sum", "expected no more than the finite elements can add up to");
    }
    // A zero may have come with a sign.
    return new NormPartial({
      normType,
      elements,
      nanElements,
      infiniteElements,
      largest: Math.abs(largest),
      sum: value,
    });
  }
}
