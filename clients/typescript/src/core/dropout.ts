/** Dropout and DropoutBackward. */

import { fromBinary } from "@bufbuild/protobuf";

import {
  DropoutBackwardRequestSchema,
  DropoutRequestSchema,
  DropoutResponseSchema,
} from "../gen/evenkeel/v1/tensor_ops_pb.js";
import { frame, wireTensor, type InitOf } from "../wire/writer.js";
import { landedTensors, tensorLike } from "./answer.js";
import { flag, int32, number, uint64 } from "./arguments.js";
import type { Caller } from "./caller.js";
import type { DType } from "./dtype.js";
import { protocolError } from "./errors.js";
import { dropoutStream } from "./dropout-stream.js";
import { dropoutKindToWire, scalingToWire, type DropoutKind, type DropoutScaling } from "./kinds.js";
import { checkOptions, type CallOptions } from "./scope.js";
import { route } from "./stream.js";
import { asTensor, type DTypeOf, type Tensor, type TensorLike } from "./tensor.js";

/** Options of `dropoutBackward`: those of the forward call. */
export interface DropoutBackwardOptions extends CallOptions {
  /** The probability that an element is dropped, in [0, 1]. */
  readonly p: number;
  /** The key of the stream of draws, 64 bits; a number must be a safe integer. Default: 0, which always drops the same elements. */
  readonly seed?: bigint | number | undefined;
  /** The index of the first draw: slices of a tensor, each with its own offset, join to the bytes of the whole. Default: 0. */
  readonly offset?: bigint | number | undefined;
  /** What is dropped together. Default: `"element"`. */
  readonly kind?: DropoutKind | undefined;
  /** What becomes of kept elements. Default: `"inverted"`. */
  readonly scaling?: DropoutScaling | undefined;
  /** The kinds of channels: their axis. Default: 1. */
  readonly channelAxis?: number | undefined;
}

/** Options of `dropout`. */
export interface DropoutOptions extends DropoutBackwardOptions {
  /** Return `mask`. Default: false. */
  readonly returnMask?: boolean | undefined;
}

/** The result of a dropout. */
export interface Dropped<D extends DType = DType> {
  /** The tensor, of the input's shape and type. */
  readonly output: Tensor<D>;
  /** The number of its elements that were kept. */
  readonly kept: bigint;
  /**
   * If `returnMask` is set: a bit for each draw, 1 for keep, the least significant first; the last byte is padded with 0.
   * `unpackMask` makes bytes of it.
   */
  readonly mask: Uint8Array | undefined;
}

const BACKWARD_OPTIONS = [
  "p",
  "seed",
  "offset",
  "kind",
  "scaling",
  "channelAxis",
] as const satisfies (keyof DropoutOptions)[];

const MASK = 14;
const TENSOR = 15;

/** What a response may have beside elements and mask. */
const ROOM = 1 << 10;

export type DropoutInit = InitOf<typeof DropoutRequestSchema>;
export type BackwardInit = InitOf<typeof DropoutBackwardRequestSchema>;

function backwardInit(options: DropoutBackwardOptions): BackwardInit {
  const { p, seed, offset, kind, scaling, channelAxis } = options;
  return {
    p: number("p", p),
    ...(seed === undefined ? {} : { seed: uint64("seed", seed) }),
    ...(offset === undefined ? {} : { offset: uint64("offset", offset) }),
    ...(kind === undefined ? {} : { kind: dropoutKindToWire(kind) }),
    ...(scaling === undefined ? {} : { scaling: scalingToWire(scaling) }),
    ...(channelAxis === undefined ? {} : { channelAxis: int32("channel_axis", channelAxis) }),
  };
}

/** The number of draws. */
function draws({ shape, size }: Tensor, { kind, channelAxis = 1 }: DropoutBackwardOptions): number {
  if (kind !== "channel" && kind !== "feature_alpha") return size;
  return (shape[0] ?? 0) * (shape[channelAxis < 0 ? channelAxis + shape.length : channelAxis] ?? 0);
}

function checkKept(kept: bigint, { size }: Tensor): void {
  if (kept > BigInt(size)) throw protocolError("kept", `is ${kept} of ${size} elements`);
}

export async function dropout<T extends TensorLike>(
  caller: Caller,
  x: T,
  options: DropoutOptions,
): Promise<Dropped<DTypeOf<T>>> {
  checkOptions(options, [...BACKWARD_OPTIONS, "returnMask"]);
  const input = asTensor("input", x);
  const { returnMask = false } = options;
  // Its fields have the names and numbers of the backward request.
  const init = { ...backwardInit(options), returnMask: flag("return_mask", returnMask) } as DropoutInit;
  const maskBytes = returnMask ? Math.ceil(draws(input, options) / 8) : 0;
  const request = frame(DropoutRequestSchema, init, [[TENSOR, wireTensor(input)]]);
  return caller.within(options, async (scope) => {
    const streamed = await route(caller, scope, request.bytes, request.bytes + maskBytes + (maskBytes > 0 ? ROOM : 0));
    if (streamed !== undefined) {
      const { output, kept, mask } = await dropoutStream(
        caller,
        scope,
        streamed,
        { case: "header", init },
        input,
        maskBytes,
      );
      checkKept(kept, input);
      return { output, kept, mask: returnMask ? mask : undefined };
    }
    const landed = await caller.unary(scope, "Dropout", request, { tensors: [TENSOR], bytes: [MASK] });
    const output = landedTensors(landed).get(TENSOR);
    if (output === undefined) throw protocolError("output", "is missing");
    const mask = landed.bytes.get(MASK) ?? new Uint8Array();
    if (mask.length !== maskBytes) throw protocolError("mask", `has ${mask.length} bytes where ${maskBytes} are due`);
    const { kept } = fromBinary(DropoutResponseSchema, landed.rest);
    checkKept(kept, input);
    return {
      output: tensorLike("output", output.message, output.data, input),
      kept,
      mask: returnMask ? mask : undefined,
    };
  });
}

export async function dropoutBackward<T extends TensorLike>(
  caller: Caller,
  gradOutput: T,
  options: DropoutBackwardOptions,
): Promise<Tensor<DTypeOf<T>>> {
  checkOptions(options, BACKWARD_OPTIONS);
  const gradient = asTensor("grad_output", gradOutput);
  const init: BackwardInit = backwardInit(options);
  const request = frame(DropoutBackwardRequestSchema, init, [[TENSOR, wireTensor(gradient)]]);
  return caller.within(options, async (scope) => {
    const streamed = await route(caller, scope, request.bytes, request.bytes);
    if (streamed !== undefined) {
      return (await dropoutStream(caller, scope, streamed, { case: "backwardHeader", init }, gradient, 0)).output;
    }
    const landed = await caller.unary(scope, "DropoutBackward", request, { tensors: [TENSOR] });
    const output = landedTensors(landed).get(TENSOR);
    if (output === undefined) throw protocolError("grad_input", "is missing");
    return tensorLike("grad_input", output.message, output.data, gradient);
  });
}
