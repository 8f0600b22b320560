/** The options of normalizations. */

import type { NormalizeRequestSchema, TensorSchema } from "../gen/evenkeel/v1/tensor_ops_pb.js";
import { wireTensor, type Bulk, type InitOf } from "../wire/writer.js";
import { flag, int32, list, number, refuse, shown, uint32 } from "./arguments.js";
import { dtypeToWire } from "./dtype.js";
import { kindToWire, type NormKind } from "./kinds.js";
import type { CallOptions } from "./scope.js";
import { StatisticsPartial } from "./statistics-partial.js";
import { asTensor, type Tensor, type TensorLike } from "./tensor.js";

/** What is pooled together. */
export interface PoolOptions {
  /** The normalization. */
  readonly kind: NormKind;
  /** The axes to pool over; negative ones count from the end. Default: those of the kind. */
  readonly axes?: readonly number[] | undefined;
  /** `"group"`: the number of groups, which divides that of the channels. */
  readonly groups?: number | undefined;
  /** `"batch"`, `"instance"`, `"group"`: the axis of the channels. Default: 1. */
  readonly channelAxis?: number | undefined;
}

/** Options of a normalization. */
export interface NormalizeOptions extends PoolOptions, CallOptions {
  /**
   * Added to the variance (`"rms"`: to the mean square). Default: 1e-5; `"rms"`: 2^-23, and 2^-52 for float64. `"l2"`: the smallest
   * divisor of the elements, 1e-12.
   */
  readonly eps?: number | undefined;
  /**
   * `"batch"`, `"instance"`: true takes the input's own statistics, and updates running ones that are given; false takes the running
   * statistics. Default: false if running statistics are given.
   */
  readonly training?: boolean | undefined;
  /** `"batch"`, `"instance"`: the weight of the new statistics in the running ones, in [0, 1]. Default: 0.1. */
  readonly momentum?: number | undefined;
  /** The scale: of the shape of the pooled axes (`"layer"`, `"rms"`), or one for each channel. Any type. Default: 1. */
  readonly weight?: TensorLike | undefined;
  /** The shift, shaped as `weight`. Default: 0. */
  readonly bias?: TensorLike | undefined;
  /** `"batch"`, `"instance"`: the running mean of each channel; together with `runningVar`. */
  readonly runningMean?: TensorLike | undefined;
  /** `"batch"`, `"instance"`: the running (unbiased) variance of each channel. */
  readonly runningVar?: TensorLike | undefined;
  /** Statistics of all parts of a tensor of which the input is one; they take the place of the input's own. */
  readonly statistics?: StatisticsPartial | undefined;
  /** Return `mean` and `rstd`. Default: false. */
  readonly returnStatistics?: boolean | undefined;
}

/** The names of {@link PoolOptions}. */
export const POOL_OPTIONS = ["kind", "axes", "groups", "channelAxis"] as const satisfies (keyof PoolOptions)[];

/** The names of {@link NormalizeOptions}, without those of every call. */
export const NORMALIZE_OPTIONS = [
  ...POOL_OPTIONS,
  "eps",
  "training",
  "momentum",
  "weight",
  "bias",
  "runningMean",
  "runningVar",
  "statistics",
  "returnStatistics",
] as const satisfies (keyof NormalizeOptions)[];

/** The options that go with a short form's kind. */
type Short<K extends keyof NormalizeOptions> = CallOptions &
  Pick<NormalizeOptions, K | "axes" | "eps" | "statistics" | "returnStatistics">;

/** Options of `layerNorm` and `rmsNorm`. */
export type LayerNormOptions = Short<"weight" | "bias">;
/** Options of `batchNorm` and `instanceNorm`. */
export type BatchNormOptions = Short<
  "weight" | "bias" | "channelAxis" | "training" | "momentum" | "runningMean" | "runningVar"
>;
/** Options of `groupNorm`. */
export type GroupNormOptions = Short<"weight" | "bias" | "channelAxis">;
/** Options of `l2Norm`. */
export type L2NormOptions = Short<never>;

export type NormalizeInit = InitOf<typeof NormalizeRequestSchema>;
export type TensorInit = InitOf<typeof TensorSchema>;

/** The fields that say what is pooled. */
export function poolInit({ kind, axes, groups, channelAxis }: PoolOptions): NormalizeInit {
  return {
    kind: kindToWire(kind),
    ...(axes === undefined ? {} : { axes: list("axes", axes).map((axis, index) => int32(`axes[${index}]`, axis)) }),
    ...(groups === undefined ? {} : { groups: uint32("groups", groups) }),
    ...(channelAxis === undefined ? {} : { channelAxis: int32("channel_axis", channelAxis) }),
  };
}

/** The fields that are neither tensors nor elements. */
export function normalizeInit(options: NormalizeOptions): NormalizeInit {
  const { eps, training, momentum, returnStatistics, statistics } = options;
  if (statistics !== undefined && !(statistics instanceof StatisticsPartial)) {
    refuse("statistics", `expected a StatisticsPartial, got ${shown(statistics)}`);
  }
  return {
    ...poolInit(options),
    ...(eps === undefined ? {} : { eps: number("eps", eps) }),
    ...(training === undefined ? {} : { training: flag("training", training) }),
    ...(momentum === undefined ? {} : { momentum: number("momentum", momentum) }),
    ...(returnStatistics === undefined ? {} : { returnStatistics: flag("return_statistics", returnStatistics) }),
    ...(statistics === undefined ? {} : { statistics: statistics.toMessage() }),
  };
}

/** The tensors beside the input. */
export interface SideTensors {
  readonly weight: Tensor | undefined;
  readonly bias: Tensor | undefined;
  readonly runningMean: Tensor | undefined;
  readonly runningVar: Tensor | undefined;
}

export function sideTensors({ weight, bias, runningMean, runningVar }: NormalizeOptions): SideTensors {
  const given = (path: string, value: TensorLike | undefined): Tensor | undefined =>
    value === undefined ? undefined : asTensor(path, value);
  return {
    weight: given("weight", weight),
    bias: given("bias", bias),
    runningMean: given("running_mean", runningMean),
    runningVar: given("running_var", runningVar),
  };
}

/** They, as the fields of a request in the order of their numbers. */
export function sideBulk({ weight, bias, runningMean, runningVar }: SideTensors): Bulk[] {
  const fields: [number, Tensor | undefined][] = [
    [10, weight],
    [11, bias],
    [12, runningMean],
    [13, runningVar],
  ];
  return fields.flatMap(([field, given]): Bulk[] => (given === undefined ? [] : [[field, wireTensor(given)]]));
}

/** A tensor as a field of a header, which has no elements if it describes what follows. */
export function tensorInit({ dtype, shape, bytes }: Tensor, hasElements: boolean): TensorInit {
  return { dtype: dtypeToWire(dtype), shape: shape.map(BigInt), ...(hasElements ? { data: bytes } : {}) };
}

/** They, as the fields of a stream's header. */
export function sideInit({ weight, bias, runningMean, runningVar }: SideTensors): NormalizeInit {
  return {
    ...(weight === undefined ? {} : { weight: tensorInit(weight, true) }),
    ...(bias === undefined ? {} : { bias: tensorInit(bias, true) }),
    ...(runningMean === undefined ? {} : { runningMean: tensorInit(runningMean, true) }),
    ...(runningVar === undefined ? {} : { runningVar: tensorInit(runningVar, true) }),
  };
}
