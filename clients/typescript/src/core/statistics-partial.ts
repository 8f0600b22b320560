/** Statistics that merge. */

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";

import { StatisticsPartialSchema, type StatisticsPartial as Message } from "../gen/evenkeel/v1/tensor_ops_pb.js";
import { refuse } from "./arguments.js";
import { kindFromWire, kindToWire, type NormKind } from "./kinds.js";
import { checkAlike, checkSet, mergeSets, readSet, writeSet, type SetSums } from "./set-sums.js";

/** More elements are in no set, and in no sets that are merged. */
const MAX_ELEMENTS = 2n ** 59n;

/**
 * The exact sums over sets of elements (those that are pooled together), from which mean and variance follow. Partials merge without
 * rounding: any cut of a tensor into parts, and any order, give the same statistics. Made by `measureStatistics`; programs pass it to
 * each other with {@link StatisticsPartial.toBytes}.
 */
export class StatisticsPartial {
  /** The normalization that the sets are pooled by. */
  readonly kind: NormKind;
  /** The shape of the sets: the input's without the pooled axes; for groups with their number in place of the channels. */
  readonly shape: readonly number[];
  readonly #sets: readonly SetSums[];

  private constructor(kind: NormKind, shape: readonly number[], sets: readonly SetSums[]) {
    this.kind = kind;
    this.shape = Object.freeze([...shape]);
    this.#sets = sets;
  }

  /** The number of elements of each set, in all parts. */
  get elements(): bigint {
    return this.#sets[0]?.elements ?? 0n;
  }

  /** Whether gradients were measured beside the elements; also if there are no sets. */
  get hasGradients(): boolean {
    return this.#sets[0]?.gradients !== undefined || this.#sets.length === 0;
  }

  /**
   * The statistics of all these parts, in any order. The partials themselves stay as they are.
   *
   * @throws {@link InvalidArgumentError} if kinds or shapes differ, if gradients were measured for some alone, or if a set has more
   * than 2^59 elements.
   */
  static merge(first: StatisticsPartial, ...others: readonly StatisticsPartial[]): StatisticsPartial {
    return others.reduce((merged, other) => merged.merge(other), first);
  }

  /** The statistics of both parts; see {@link StatisticsPartial.merge}. */
  merge(other: StatisticsPartial): StatisticsPartial {
    if (this.kind !== other.kind) refuse("kind", "expected the kind of the partial it is merged with");
    if (this.shape.length !== other.shape.length || this.shape.some((dim, axis) => dim !== other.shape[axis])) {
      refuse("shape", "expected the shape of the partial it is merged with");
    }
    if (this.hasGradients !== other.hasGradients) {
      refuse("sets[0].sum_of_gradients", "expected in both of the partials that are merged or in neither");
    }
    if (this.elements + other.elements > MAX_ELEMENTS) {
      refuse("sets[0].elements", "expected no more than 2^59, with those they are merged with");
    }
    return new StatisticsPartial(this.kind, this.shape, mergeSets(this.#sets, other.#sets));
  }

  /** The message `evenkeel.v1.StatisticsPartial`: some 110 bytes for each set of float32 elements, up to 800 for float64. */
  toBytes(): Uint8Array {
    return toBinary(StatisticsPartialSchema, this.toMessage());
  }

  /**
   * Reads the bytes that {@link StatisticsPartial.toBytes} writes.
   *
   * @throws {@link InvalidArgumentError} for other bytes, and for sums that no elements have.
   */
  static fromBytes(bytes: Uint8Array): StatisticsPartial {
    let message: Message;
    try {
      message = fromBinary(StatisticsPartialSchema, bytes);
    } catch (error) {
      refuse("partial", `the bytes are no StatisticsPartial: ${String(error)}`);
    }
    return StatisticsPartial.fromMessage(message);
  }

  /** @internal */
  toMessage(): Message {
    const shape = this.shape.map(BigInt);
    return create(StatisticsPartialSchema, { kind: kindToWire(this.kind), shape, sets: this.#sets.map(writeSet) });
  }

  /** @internal */
  static fromMessage(message: Message): StatisticsPartial {
    const kind = kindFromWire(message.kind);
    if (kind === undefined) refuse("kind", `${message.kind} is no kind`);
    const shape = message.shape.map(Number);
    if (!shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0)) refuse("shape", "has a dimension that is none");
    const count = shape.reduce((product, dim) => product * dim, 1);
    if (count !== message.sets.length)
      refuse("sets", `expected the ${count} sets of the shape, got ${message.sets.length}`);
    const sets = message.sets.map((set, index) => readSet(`sets[${index}]`, set));
    const [first] = sets;
    sets.forEach((set, index) => {
      const path = `sets[${index}]`;
      if (first !== undefined) checkAlike(path, first, set);
      checkSet(path, set, MAX_ELEMENTS);
    });
    return new StatisticsPartial(kind, shape, sets);
  }
}
