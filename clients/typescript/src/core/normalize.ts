/** Normalize. */

import { fromBinary } from "@bufbuild/protobuf";

import {
  NormalizeRequestSchema,
  NormalizeResponseSchema,
  type NormalizeResponse,
  type Tensor as TensorMessage,
} from "../gen/evenkeel/v1/tensor_ops_pb.js";
import { frame, wireTensor } from "../wire/writer.js";
import { landedTensors, tensorLike, tensorOf } from "./answer.js";
import type { Caller } from "./caller.js";
import type { DType, StatisticDType } from "./dtype.js";
import { protocolError } from "./errors.js";
import {
  NORMALIZE_OPTIONS,
  normalizeInit,
  sideBulk,
  sideTensors,
  type NormalizeOptions,
  type SideTensors,
} from "./normalize-options.js";
import { normalizeStream } from "./normalize-stream.js";
import { checkOptions } from "./scope.js";
import { countSets } from "./sets.js";
import { route } from "./stream.js";
import { asTensor, type DTypeOf, type Tensor, type TensorLike } from "./tensor.js";

/** A normalized tensor. */
export interface Normalized<D extends DType = DType> {
  /** The tensor, of the input's shape and type. */
  readonly output: Tensor<D>;
  /** The axes that were pooled, sorted. */
  readonly axes: readonly number[];
  /** The means, if `returnStatistics` is set; not for `"rms"` and `"l2"`. The input's shape without the pooled axes. */
  readonly mean: Tensor<StatisticDType<D>> | undefined;
  /** 1 / sqrt(var + eps), if `returnStatistics` is set. */
  readonly rstd: Tensor<StatisticDType<D>> | undefined;
  /** The updated running mean, if it was given and the input's own statistics were used. Of the given type. */
  readonly runningMean: Tensor | undefined;
  /** The updated running variance. */
  readonly runningVar: Tensor | undefined;
}

/** The fields of a response that are tensors. */
const LAYOUT = { tensors: [10, 11, 12, 13, 14] };
const OUTPUT = 14;

/** What a response may have beside elements. */
const ROOM = 1 << 10;

export async function normalize<T extends TensorLike>(
  caller: Caller,
  x: T,
  options: NormalizeOptions,
): Promise<Normalized<DTypeOf<T>>> {
  checkOptions(options, NORMALIZE_OPTIONS);
  const input = asTensor("input", x);
  const sides = sideTensors(options);
  const init = normalizeInit(options);
  const request = frame(NormalizeRequestSchema, init, [...sideBulk(sides), [OUTPUT, wireTensor(input)]]);
  return caller.within(options, async (scope) => {
    const streamed = await route(caller, scope, request.bytes, answerBytes(input, sides, options));
    if (streamed !== undefined) {
      const { answer, data } = await normalizeStream(caller, scope, streamed, { input, sides, init });
      return result(input, sides, answer, answer.output, data, (tensor) => tensor.data);
    }
    const landed = await caller.unary(scope, "Normalize", request, LAYOUT);
    const tensors = landedTensors(landed);
    const answer = fromBinary(NormalizeResponseSchema, landed.rest);
    const elements = new Map([...tensors.values()].map(({ message, data }) => [message, data]));
    const whole = {
      axes: answer.axes,
      mean: tensors.get(10)?.message,
      rstd: tensors.get(11)?.message,
      runningMean: tensors.get(12)?.message,
      runningVar: tensors.get(13)?.message,
    };
    const output = tensors.get(OUTPUT);
    return result(input, sides, whole, output?.message, output?.data, (tensor) => elements.get(tensor) ?? tensor.data);
  });
}

/** The most bytes of the response. */
function answerBytes(input: Tensor, { runningMean, runningVar }: SideTensors, options: NormalizeOptions): number {
  const running = (runningMean?.bytes.length ?? 0) + (runningVar?.bytes.length ?? 0);
  const statistics =
    options.returnStatistics === true ? 2 * countSets(input.shape, options) * (input.dtype === "float64" ? 8 : 4) : 0;
  return input.bytes.length <= ROOM && running + statistics === 0
    ? 0
    : input.bytes.length + running + statistics + ROOM;
}

type Answer = Pick<NormalizeResponse, "axes"> & {
  readonly [F in "mean" | "rstd" | "runningMean" | "runningVar"]?: TensorMessage | undefined;
};

/** The checked answer. */
function result<D extends DType>(
  input: Tensor<D>,
  sides: SideTensors,
  answer: Answer,
  output: TensorMessage | undefined,
  data: Uint8Array | undefined,
  elements: (tensor: TensorMessage) => Uint8Array,
): Normalized<D> {
  const { axes, mean, rstd, runningMean, runningVar } = answer;
  if (output === undefined || data === undefined) throw protocolError("output", "is missing");
  if (!axes.every((axis) => axis >= 0 && axis < input.shape.length)) {
    throw protocolError("axes", `are [${axes.join(", ")}] of ${input.shape.length}`);
  }
  const type = (input.dtype === "float64" ? "float64" : "float32") as StatisticDType<D>;
  const statistic = (field: string, message: TensorMessage | undefined): Tensor<StatisticDType<D>> | undefined =>
    message === undefined ? undefined : tensorOf(field, message, elements(message), type);
  const running = (field: string, sent: Tensor | undefined, message: TensorMessage | undefined): Tensor | undefined => {
    if (message === undefined) return undefined;
    if (sent === undefined) throw protocolError(field, "was not sent");
    return tensorLike(field, message, elements(message), sent);
  };
  return {
    output: tensorLike("output", output, data, input),
    axes,
    mean: statistic("mean", mean),
    rstd: statistic("rstd", rstd),
    runningMean: running("running_mean", sides.runningMean, runningMean),
    runningVar: running("running_var", sides.runningVar, runningVar),
  };
}
