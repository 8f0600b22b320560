/** The exact sums over a set of elements that are pooled together. */

import { create } from "@bufbuild/protobuf";

import {
  ExactSumSchema,
  SetStatisticsSchema,
  type ExactSum,
  type SetStatistics,
} from "../gen/evenkeel/v1/tensor_ops_pb.js";
import type { InitOf } from "../wire/writer.js";
import { refuse } from "./arguments.js";
import { fromBytes, MAX_SUM_BYTES, significant, toBytes } from "./exact.js";

/** Sums are in units of 2^-2148. */
export interface SetSums {
  readonly elements: bigint;
  readonly nanElements: bigint;
  readonly infiniteElements: bigint;
  readonly negativeInfiniteElements: bigint;
  readonly sum: bigint;
  readonly sumOfSquares: bigint;
  /** Set where gradients were measured. */
  readonly gradients: GradientSums | undefined;
}

interface GradientSums {
  readonly nonfinite: bigint;
  readonly sum: bigint;
  readonly sumOfProducts: bigint;
}

/** No float64 reaches 2^1024, and no product of two 2^2048. */
const ELEMENT_BITS = 2148n + 1024n;
const PRODUCT_BITS = 2148n + 2048n;

function readSum(path: string, sum: ExactSum | undefined): bigint {
  if (sum === undefined) return 0n;
  const magnitude = significant(sum.magnitude);
  const first = magnitude.findIndex((byte) => byte !== 0);
  if (first < 0) return 0n;
  const bytes = sum.lowZeroBytes + magnitude.length;
  if (bytes > MAX_SUM_BYTES) refuse(`${path}.magnitude`, `expected at most ${MAX_SUM_BYTES} bytes, got ${bytes}`);
  const value = fromBytes(magnitude) << BigInt(8 * sum.lowZeroBytes);
  return sum.negative ? -value : value;
}

/** The sum without zero bytes at either end, so that equal sums have equal bytes. */
function writeSum(sum: bigint): ExactSum {
  if (sum === 0n) return create(ExactSumSchema);
  const magnitude = sum < 0n ? -sum : sum;
  const zeros = /0*$/.exec(magnitude.toString(16))?.[0].length ?? 0;
  const lowZeroBytes = zeros >> 1;
  return create(ExactSumSchema, {
    negative: sum < 0n,
    lowZeroBytes,
    magnitude: toBytes(magnitude >> BigInt(8 * lowZeroBytes)),
  });
}

export function readSet(path: string, set: SetStatistics): SetSums {
  const { elements, nanElements, infiniteElements, negativeInfiniteElements, nonfiniteGradients } = set;
  if (set.sumOfGradients === undefined) {
    if (set.sumOfProducts !== undefined) refuse(`${path}.sum_of_products`, "expected none without sum_of_gradients");
    if (nonfiniteGradients !== 0n) refuse(`${path}.nonfinite_gradients`, "expected 0 without sum_of_gradients");
  }
  return {
    elements,
    nanElements,
    infiniteElements,
    negativeInfiniteElements,
    sum: readSum(`${path}.sum`, set.sum),
    sumOfSquares: readSum(`${path}.sum_of_squares`, set.sumOfSquares),
    gradients:
      set.sumOfGradients === undefined
        ? undefined
        : {
            nonfinite: nonfiniteGradients,
            sum: readSum(`${path}.sum_of_gradients`, set.sumOfGradients),
            sumOfProducts: readSum(`${path}.sum_of_products`, set.sumOfProducts),
          },
  };
}

export function writeSet({ sum, sumOfSquares, gradients, ...counts }: SetSums): SetStatistics {
  const message: InitOf<typeof SetStatisticsSchema> = { ...counts };
  if (sum !== 0n) message.sum = writeSum(sum);
  if (sumOfSquares !== 0n) message.sumOfSquares = writeSum(sumOfSquares);
  if (gradients !== undefined) {
    message.nonfiniteGradients = gradients.nonfinite;
    message.sumOfGradients = writeSum(gradients.sum);
    message.sumOfProducts = writeSum(gradients.sumOfProducts);
  }
  return create(SetStatisticsSchema, message);
}

/** Merges sets that are alike, one by one. */
export function mergeSets(sets: readonly SetSums[], others: readonly SetSums[]): SetSums[] {
  return sets.map((a, index) => {
    const b = others[index] ?? a;
    return {
      elements: a.elements + b.elements,
      nanElements: a.nanElements + b.nanElements,
      infiniteElements: a.infiniteElements + b.infiniteElements,
      negativeInfiniteElements: a.negativeInfiniteElements + b.negativeInfiniteElements,
      sum: a.sum + b.sum,
      sumOfSquares: a.sumOfSquares + b.sumOfSquares,
      gradients:
        a.gradients === undefined || b.gradients === undefined
          ? undefined
          : {
              nonfinite: a.gradients.nonfinite + b.gradients.nonfinite,
              sum: a.gradients.sum + b.gradients.sum,
              sumOfProducts: a.gradients.sumOfProducts + b.gradients.sumOfProducts,
            },
    };
  });
}

/** Fails for a set that is not like the first: of as many elements, and with gradients if the first has them. */
export function checkAlike(path: string, first: SetSums, set: SetSums): void {
  if (set.elements !== first.elements) {
    refuse(`${path}.elements`, `expected the ${first.elements} of the first set, got ${set.elements}`);
  }
  if ((set.gradients === undefined) !== (first.gradients === undefined)) {
    const fault =
      first.gradients === undefined
        ? "expected none, since the first set has none"
        : "required, since the first set has it";
    refuse(`${path}.sum_of_gradients`, fault);
  }
}

/** Whether `count` terms, each below 2^bits, can add up to the sum. */
function isBelow(sum: bigint, count: bigint, bits: bigint): boolean {
  return sum === 0n || (sum < 0n ? -sum : sum) < count << bits;
}

/** Whether the sum is one of float64s, all of which are multiples of 2^-1074. */
function isOfFloat64(sum: bigint): boolean {
  return BigInt.asUintN(1074, sum) === 0n;
}

/** Fails for sums that no elements have. */
export function checkSet(path: string, set: SetSums, maxElements: bigint): void {
  if (set.elements > maxElements)
    refuse(`${path}.elements`, "expected no more than 2^59, with those they are merged with");
  const finite = set.elements - set.nanElements - set.infiniteElements - set.negativeInfiniteElements;
  if (finite < 0n) refuse(`${path}.elements`, "expected at least as many as those that are NaN or infinite");
  if (!isBelow(set.sum, finite, ELEMENT_BITS))
    refuse(`${path}.sum`, "expected no more than the finite elements can add up to");
  if (!isOfFloat64(set.sum)) refuse(`${path}.sum`, "expected a multiple of 2^1074 units, as every float64 is");
  if (set.sumOfSquares < 0n) refuse(`${path}.sum_of_squares`, "expected a sum that is not negative");
  if (!isBelow(set.sumOfSquares, finite, PRODUCT_BITS)) {
    refuse(`${path}.sum_of_squares`, "expected no more than the squares of the finite elements can add up to");
  }
  // The square of the sum is in units of 2^-4296.
  if (set.sum * set.sum > (finite * set.sumOfSquares) << 2148n) {
    refuse(`${path}.sum_of_squares`, "expected at least the square of sum divided by the number of finite elements");
  }
  if (set.gradients !== undefined) checkGradients(path, set, finite, set.gradients);
}

function checkGradients(path: string, set: SetSums, finite: bigint, gradients: GradientSums): void {
  const finiteGradients = set.elements - gradients.nonfinite;
  if (finiteGradients < 0n) refuse(`${path}.nonfinite_gradients`, "expected no more than elements");
  if (!isBelow(gradients.sum, finiteGradients, ELEMENT_BITS)) {
    refuse(`${path}.sum_of_gradients`, "expected no more than the finite gradients can add up to");
  }
  if (!isOfFloat64(gradients.sum)) {
    refuse(`${path}.sum_of_gradients`, "expected a multiple of 2^1074 units, as every float64 is");
  }
  const pairs = finite < finiteGradients ? finite : finiteGradients;
  if (!isBelow(gradients.sumOfProducts, pairs, PRODUCT_BITS)) {
    refuse(`${path}.sum_of_products`, "expected no more than the finite products can add up to");
  }
  if (set.sumOfSquares === 0n && gradients.sumOfProducts !== 0n) {
    refuse(`${path}.sum_of_products`, "expected 0, since sum_of_squares is 0");
  }
}
