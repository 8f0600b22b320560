/** ClipGradients. */

import { fromBinary } from "@bufbuild/protobuf";

import { ClipGradientsRequestSchema, ClipGradientsResponseSchema, ClipMode } from "../gen/evenkeel/v1/tensor_ops_pb.js";
import { frame, wireTensor, type Bulk, type InitOf } from "../wire/writer.js";
import { tensorLike } from "./answer.js";
import { flag, number } from "./arguments.js";
import type { Caller } from "./caller.js";
import { clipStream } from "./clip-stream.js";
import { protocolError } from "./errors.js";
import { inPlace, listed, type Gradients, type LikeGradients, type Named, type NumberOfEach } from "./gradients.js";
import { checkOptions, type CallOptions } from "./scope.js";
import { route } from "./stream.js";
import type { Tensor } from "./tensor.js";

/** Options of `clipGradValue`. */
export interface ClipValueOptions extends CallOptions {
  /** The order of the `totalNorm` that is reported: above 0, or Infinity. Default: 2. */
  readonly normType?: number | undefined;
  /** Fail with a {@link NonfiniteNormError}, and clip nothing, if the norm is NaN or infinite. Default: false. */
  readonly errorIfNonfinite?: boolean | undefined;
}

/** Options of `clipGradNorm`. */
export interface ClipNormOptions extends ClipValueOptions {
  /** A norm that was computed elsewhere, for gradients on several machines; it replaces that of the gradients. */
  readonly totalNorm?: number | undefined;
  /** Added to the norm before `maxNorm` is divided by it. Default: 1e-6, as in PyTorch. */
  readonly epsilon?: number | undefined;
  /** Round so that the exact norm of the result never exceeds `maxNorm`. Default: false. */
  readonly notAbove?: boolean | undefined;
  /** Clip each gradient by its own norm. Default: false. */
  readonly perTensor?: boolean | undefined;
}

/** Clipped gradients. */
export interface Clipped<G extends Gradients = Gradients> {
  /** The gradients after clipping: with the names, or in the order, that were given. */
  readonly gradients: LikeGradients<G>;
  /** The norm over all gradients before clipping, or the one that was given. */
  readonly totalNorm: number;
  /** The factor that was applied: min(1, maxNorm / (totalNorm + epsilon)). By value: 1. Per tensor: the smallest of any. */
  readonly scale: number;
  /** By value: the number of elements that were clamped. */
  readonly clippedElements: bigint;
  /** Per tensor: the norm of each before clipping. */
  readonly tensorNorms: NumberOfEach<G> | undefined;
}

const VALUE_OPTIONS = ["normType", "errorIfNonfinite"] as const satisfies (keyof ClipNormOptions)[];
const NORM_OPTIONS = [
  ...VALUE_OPTIONS,
  "totalNorm",
  "epsilon",
  "notAbove",
  "perTensor",
] as const satisfies (keyof ClipNormOptions)[];

const GRADIENTS = 15;

/** What a response has beside gradients and norms. */
const ROOM = 64;

/** The request without its gradients. */
export type ClipInit = InitOf<typeof ClipGradientsRequestSchema>;

/** The numbers of an answer, and the gradients in order. */
export interface ClipOutcome {
  readonly totalNorm: number;
  readonly scale: number;
  readonly clippedElements: bigint;
  readonly tensorNorms: readonly number[];
  readonly gradients: readonly Tensor[];
}

function valueInit(mode: ClipMode, threshold: number, { normType, errorIfNonfinite }: ClipValueOptions): ClipInit {
  return {
    mode,
    threshold: number("threshold", threshold),
    ...(normType === undefined ? {} : { normType: number("norm_type", normType) }),
    ...(errorIfNonfinite === undefined ? {} : { errorIfNonfinite: flag("error_if_nonfinite", errorIfNonfinite) }),
  };
}

export async function clipGradNorm<G extends Gradients>(
  caller: Caller,
  gradients: G,
  maxNorm: number,
  options: ClipNormOptions,
): Promise<Clipped<G>> {
  checkOptions(options, NORM_OPTIONS);
  const { totalNorm, epsilon, notAbove, perTensor = false } = options;
  const mode = flag("per_tensor", perTensor) ? ClipMode.NORM_PER_TENSOR : ClipMode.NORM;
  const init: ClipInit = {
    ...valueInit(mode, maxNorm, options),
    ...(totalNorm === undefined ? {} : { totalNorm: number("total_norm", totalNorm) }),
    ...(epsilon === undefined ? {} : { epsilon: number("epsilon", epsilon) }),
    ...(notAbove === undefined ? {} : { notAbove: flag("not_above", notAbove) }),
  };
  return clip(caller, gradients, init, options);
}

export async function clipGradValue<G extends Gradients>(
  caller: Caller,
  gradients: G,
  maxValue: number,
  options: ClipValueOptions,
): Promise<Clipped<G>> {
  checkOptions(options, VALUE_OPTIONS);
  return clip(caller, gradients, valueInit(ClipMode.VALUE, maxValue, options), options);
}

async function clip<G extends Gradients>(
  caller: Caller,
  gradients: G,
  init: ClipInit,
  options: CallOptions,
): Promise<Clipped<G>> {
  const list = listed(gradients);
  const bulk = list.map(({ name, tensor }): Bulk => [GRADIENTS, wireTensor(tensor, name)]);
  const request = frame(ClipGradientsRequestSchema, init, bulk);
  const outcome = await caller.within(options, async (scope) => {
    const answerBytes = request.bytes + ROOM + 8 * list.length;
    const streamed = await route(caller, scope, request.bytes, request.bytes <= ROOM ? 0 : answerBytes);
    if (streamed !== undefined) return clipStream(caller, scope, streamed, init, list);
    const landed = await caller.unary(scope, "ClipGradients", request, { tensors: [GRADIENTS] });
    const numbers = fromBinary(ClipGradientsResponseSchema, landed.rest);
    const tensors = landed.tensors.map(({ message, data }, index) => {
      const sent = list[index];
      if (sent === undefined) throw protocolError("gradients", `are more than the ${list.length} that were sent`);
      return tensorLike(`gradients[${index}]`, message, data, sent.tensor, sent.name);
    });
    return { ...numbers, gradients: tensors };
  });
  return named(gradients, list, outcome, init.mode === ClipMode.NORM_PER_TENSOR);
}

function named<G extends Gradients>(
  given: G,
  list: readonly Named[],
  outcome: ClipOutcome,
  isPerTensor: boolean,
): Clipped<G> {
  const { totalNorm, scale, clippedElements, tensorNorms, gradients } = outcome;
  if (gradients.length !== list.length) {
    throw protocolError("gradients", `are ${gradients.length} where ${list.length} were sent`);
  }
  const norms = isPerTensor ? list.length : 0;
  if (tensorNorms.length !== norms) {
    throw protocolError("tensor_norms", `are ${tensorNorms.length} where ${norms} are due`);
  }
  return {
    gradients: inPlace(given, gradients) as LikeGradients<G>,
    totalNorm,
    scale,
    clippedElements,
    tensorNorms: isPerTensor ? (inPlace(given, tensorNorms) as NumberOfEach<G>) : undefined,
  };
}
