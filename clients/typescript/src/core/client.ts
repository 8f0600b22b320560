/// <reference lib="esnext.disposable" preserve="true" />
/** The calls of a client, which are the same in Node and in browsers. */

import { Caller, type CallerSettings } from "./caller.js";
import { clipGradNorm, clipGradValue, type ClipNormOptions, type Clipped, type ClipValueOptions } from "./clip.js";
import { dropout, dropoutBackward, type DropoutBackwardOptions, type DropoutOptions, type Dropped } from "./dropout.js";
import type { Gradients } from "./gradients.js";
import { measureGradients, type MeasureGradientsOptions } from "./measure-gradients.js";
import { measureStatistics, type MeasureStatisticsOptions } from "./measure-statistics.js";
import { normalizeBackward, type NormalizeGradients } from "./normalize-backward.js";
import type {
  BatchNormOptions,
  GroupNormOptions,
  L2NormOptions,
  LayerNormOptions,
  NormalizeOptions,
} from "./normalize-options.js";
import { normalize, type Normalized } from "./normalize.js";
import type { NormPartial } from "./norm-partial.js";
import { checkOptions, type CallOptions } from "./scope.js";
import type { ServerInfo } from "./server-info.js";
import type { StatisticsPartial } from "./statistics-partial.js";
import type { DTypeOf, Tensor, TensorLike } from "./tensor.js";
import type { Transport } from "./transport.js";

/**
 * The calls. Each rejects with an {@link EvenkeelError}: an {@link InvalidArgumentError} for arguments that do not fit, an
 * {@link OverloadedError} or an {@link UnavailableError} after its retries, a {@link DeadlineExceededError} after its time, a
 * {@link CancelledError} if its signal was aborted.
 */
export abstract class BaseClient {
  readonly #caller: Caller;

  /** @internal */
  protected constructor(transport: Transport, settings: CallerSettings) {
    this.#caller = new Caller(transport, settings);
  }

  /**
   * Normalizes a tensor: y = (x - mean) / sqrt(var + eps) * weight + bias.
   *
   * @example
   * ```ts
   * const { output } = await client.normalize(tensor([[1, 2, 3, 4]]), { kind: "layer" });
   * ```
   */
  async normalize<T extends TensorLike>(x: T, options: NormalizeOptions): Promise<Normalized<DTypeOf<T>>> {
    return normalize(this.#caller, x, options);
  }

  /** Layer normalization: `torch.nn.functional.layer_norm`. */
  async layerNorm<T extends TensorLike>(x: T, options: LayerNormOptions = {}): Promise<Normalized<DTypeOf<T>>> {
    return normalize(this.#caller, x, { ...options, kind: "layer" });
  }

  /** Normalization by the root of the mean square: `torch.nn.functional.rms_norm`. */
  async rmsNorm<T extends TensorLike>(x: T, options: LayerNormOptions = {}): Promise<Normalized<DTypeOf<T>>> {
    return normalize(this.#caller, x, { ...options, kind: "rms" });
  }

  /** Batch normalization: `torch.nn.functional.batch_norm`. */
  async batchNorm<T extends TensorLike>(x: T, options: BatchNormOptions = {}): Promise<Normalized<DTypeOf<T>>> {
    return normalize(this.#caller, x, { ...options, kind: "batch" });
  }

  /** Instance normalization: `torch.nn.functional.instance_norm`. */
  async instanceNorm<T extends TensorLike>(x: T, options: BatchNormOptions = {}): Promise<Normalized<DTypeOf<T>>> {
    return normalize(this.#caller, x, { ...options, kind: "instance" });
  }

  /** Group normalization: `torch.nn.functional.group_norm`. The number of groups divides that of the channels. */
  async groupNorm<T extends TensorLike>(
    x: T,
    groups: number,
    options: GroupNormOptions = {},
  ): Promise<Normalized<DTypeOf<T>>> {
    return normalize(this.#caller, x, { ...options, kind: "group", groups });
  }

  /** Division by the norm over axis 1: `torch.nn.functional.normalize`. */
  async l2Norm<T extends TensorLike>(x: T, options: L2NormOptions = {}): Promise<Normalized<DTypeOf<T>>> {
    return normalize(this.#caller, x, { ...options, kind: "l2" });
  }

  /**
   * The gradients of a normalization.
   *
   * @param x - The input of the forward call.
   * @param gradOutput - The gradient of its output, of the same shape and type.
   * @param options - Those of the forward call. With `weight` and `bias` their gradients are returned, too.
   */
  async normalizeBackward<T extends TensorLike>(
    x: T,
    gradOutput: TensorLike,
    options: NormalizeOptions,
  ): Promise<NormalizeGradients<DTypeOf<T>>> {
    return normalizeBackward(this.#caller, x, gradOutput, options);
  }

  /**
   * Drops elements at random, by a mask that depends on p, seed and offset alone.
   *
   * @example
   * ```ts
   * const { output, kept } = await client.dropout(x, { p: 0.3, seed: 42n });
   * ```
   */
  async dropout<T extends TensorLike>(x: T, options: DropoutOptions): Promise<Dropped<DTypeOf<T>>> {
    return dropout(this.#caller, x, options);
  }

  /** The gradient of a dropout's input, from that of its output and the options of the forward call. */
  async dropoutBackward<T extends TensorLike>(
    gradOutput: T,
    options: DropoutBackwardOptions,
  ): Promise<Tensor<DTypeOf<T>>> {
    return dropoutBackward(this.#caller, gradOutput, options);
  }

  /**
   * Scales gradients so that the norm over all of them, or with `perTensor` that of each, is at most `maxNorm`.
   *
   * @example
   * ```ts
   * const { gradients, totalNorm } = await client.clipGradNorm({ w: dw, b: db }, 1);
   * ```
   */
  async clipGradNorm<const G extends Gradients>(
    gradients: G,
    maxNorm: number,
    options: ClipNormOptions = {},
  ): Promise<Clipped<G>> {
    return clipGradNorm(this.#caller, gradients, maxNorm, options);
  }

  /** Clamps every element to [-maxValue, maxValue]; NaN stays NaN. */
  async clipGradValue<const G extends Gradients>(
    gradients: G,
    maxValue: number,
    options: ClipValueOptions = {},
  ): Promise<Clipped<G>> {
    return clipGradValue(this.#caller, gradients, maxValue, options);
  }

  /** Measures the norm of gradients, or of a part of them, in a form that merges exactly. Gradients may be of any size. */
  async measureGradients(gradients: Gradients, options: MeasureGradientsOptions = {}): Promise<NormPartial> {
    return measureGradients(this.#caller, gradients, options);
  }

  /** Measures the statistics of a part of a tensor in a form that merges exactly. The part may be of any size. */
  async measureStatistics(x: TensorLike, options: MeasureStatisticsOptions): Promise<StatisticsPartial> {
    return measureStatistics(this.#caller, x, options);
  }

  /** Asks the server for its version, its limits and what it can do. */
  async serverInfo(options: CallOptions = {}): Promise<ServerInfo> {
    checkOptions(options, []);
    return this.#caller.within(options, (scope) => this.#caller.serverInfo(scope));
  }

  /** Cancels the calls that are under way, and closes the connections. */
  async close(): Promise<void> {
    await this.#caller.close();
  }

  /** Closes the client at the end of `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
