/** Normalize. */

import { fromBinary } from "@bufbuild/protobuf";

import {
  NormalizeRequestSchema,
  NormalizeResponseSchema,
  type NormalizeResponse,
  type Tensor as TensorMessage,
} from "../gen/evenkeel/v1/tensor_ops_pb.js";
import { frame, wireTensor } from "../wire/writer.js";
import { isSame, landedTensors, tensorLike } from "./answer.js";
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
import { countSets, pooledAxes, setsShape } from "./sets.js";
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
      return result({ input, sides, options }, answer, answer.output, data, (tensor) => tensor.data);
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
    const data = (tensor: TensorMessage): Uint8Array => elements.get(tensor) ?? tensor.data;
    return result({ input, sides, options }, whole, output?.message, output?.data, data);
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

/** What was asked. */
interface Asked<D extends DType> {
  readonly input: Tensor<D>;
  readonly sides: SideTensors;
  readonly options: NormalizeOptions;
}

/** The checked answer. */
function result<D extends DType>(
  { input, sides, options }: Asked<D>,
  answer: Answer,
  output: TensorMessage | undefined,
  data: Uint8Array | undefined,
  elements: (tensor: TensorMessage) => Uint8Array,
): Normalized<D> {
  const { axes, mean, rstd, runningMean, runningVar } = answer;
  if (output === undefined || data === undefined) throw protocolError("output", "is missing");
  const pooled = pooledAxes(input.shape.length, options);
  if (!isSame(axes, pooled)) {
    throw protocolError("axes", `are [${axes.join(", ")}] where [${pooled.join(", ")}] are pooled`);
  }
  const dtype = (input.dtype === "float64" ? "float64" : "float32") as StatisticDType<D>;
  const statistic = (
    field: string,
    message: TensorMessage | undefined,
    isDue: boolean,
  ): Tensor<StatisticDType<D>> | undefined => {
    if ((message !== undefined) !== isDue) throw protocolError(field, isDue ? "is missing" : "was not asked for");
    if (message === undefined) return undefined;
    return tensorLike(field, message, elements(message), { dtype, shape: setsShape(input.shape, options) });
  };
  const isAsked = options.returnStatistics === true;
  const hasMean = options.kind !== "rms" && options.kind !== "l2";
  const running = (field: string, sent: Tensor | undefined, message: TensorMessage | undefined): Tensor | undefined => {
    if (message === undefined) return undefined;
    if (sent === undefined) throw protocolError(field, "was not sent");
    return tensorLike(field, message, elements(message), sent);
  };
  return {
    output: tensorLike("output", output, data, input),
    axes,
    mean: statistic("mean", mean, isAsked && hasMean),
    rstd: statistic("rstd", rstd, isAsked),
    runningMean: running("running_mean", sides.runningMean, runningMean),
    runningVar: running("running_var", sides.runningVar, runningVar),
  };
}
