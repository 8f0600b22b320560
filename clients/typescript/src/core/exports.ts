/** What both entry points export. */

export { BaseClient } from "./client.js";
export type { ClipNormOptions, Clipped, ClipValueOptions } from "./clip.js";
export type { DropoutBackwardOptions, DropoutOptions, Dropped } from "./dropout.js";
export type { DType, Elements, StatisticDType } from "./dtype.js";
export {
  CancelledError,
  DeadlineExceededError,
  EvenkeelError,
  InternalError,
  InvalidArgumentError,
  MessageTooLargeError,
  NeedsTwoPassesError,
  NonfiniteNormError,
  OverloadedError,
  UnauthenticatedError,
  UnavailableError,
  UnimplementedError,
  type Code,
  type ErrorDetails,
  type FieldViolation,
  type Nonfinite,
  type NonfiniteGradient,
} from "./errors.js";
export type { Gradients, LikeGradients, NumberOfEach } from "./gradients.js";
export type { DropoutKind, DropoutScaling, NormKind } from "./kinds.js";
export type { MeasureGradientsOptions } from "./measure-gradients.js";
export type { MeasureStatisticsOptions } from "./measure-statistics.js";
export type { NormalizeGradients } from "./normalize-backward.js";
export type {
  BatchNormOptions,
  GroupNormOptions,
  L2NormOptions,
  LayerNormOptions,
  NormalizeOptions,
  PoolOptions,
} from "./normalize-options.js";
export type { Normalized } from "./normalize.js";
export { NormPartial } from "./norm-partial.js";
export { keepMask, unpackMask, type KeepMaskOptions } from "./philox.js";
export type { CallOptions } from "./scope.js";
export type { Limits, ServerInfo } from "./server-info.js";
export type { CommonOptions } from "./settings.js";
export { StatisticsPartial } from "./statistics-partial.js";
export { Tensor, tensor, type DTypeOf, type Float16Elements, type Nested, type TensorLike } from "./tensor.js";
export { VERSION } from "./version.js";
