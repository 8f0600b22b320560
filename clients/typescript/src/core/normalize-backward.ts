/** NormalizeBackward. */

import { NormalizeBackwardRequestSchema } from "../gen/evenkeel/v1/tensor_ops_pb.js";
import { frame, wireTensor, type InitOf } from "../wire/writer.js";
import { landedTensors, tensorLike } from "./answer.js";
import type { Caller } from "./caller.js";
import type { DType } from "./dtype.js";
import { MessageTooLargeError, protocolError } from "./errors.js";
import { NORMALIZE_OPTIONS, normalizeInit, sideBulk, sideTensors, type NormalizeOptions } from "./normalize-options.js";
import { checkOptions } from "./scope.js";
import { asTensor, type DTypeOf, type Tensor, type TensorLike } from "./tensor.js";

/** The gradients of a normalization. */
export interface NormalizeGradients<D extends DType = DType> {
  /** The gradient of the input, in its shape and type. */
  readonly gradInput: Tensor<D>;
  /** The gradient of `weight`, in its shape and type, if it was given. */
  readonly gradWeight: Tensor | undefined;
  /** The gradient of `bias`, in its shape and type, if it was given. */
  readonly gradBias: Tensor | undefined;
}

const INPUT = 14;
const GRAD_OUTPUT = 15;
const LAYOUT = { tensors: [10, 11, 12] };

/** Below this size a request is sent without asking for the server's limit. */
const SURE = 1 << 10;

export async function normalizeBackward<T extends TensorLike>(
  caller: Caller,
  x: T,
  gradOutput: TensorLike,
  options: NormalizeOptions,
): Promise<NormalizeGradients<DTypeOf<T>>> {
  checkOptions(options, NORMALIZE_OPTIONS);
  const input = asTensor("input", x);
  const gradient = asTensor("grad_output", gradOutput);
  const sides = sideTensors(options);
  // The fields up to `input` have the names and numbers of the forward request.
  const init = normalizeInit(options) as InitOf<typeof NormalizeBackwardRequestSchema>;
  const request = frame(NormalizeBackwardRequestSchema, init, [
    ...sideBulk(sides),
    [INPUT, wireTensor(input)],
    [GRAD_OUTPUT, wireTensor(gradient)],
  ]);
  return caller.within(options, async (scope) => {
    if (request.bytes > SURE) {
      const { maxMessageBytes } = await caller.limits(scope);
      if (request.bytes > maxMessageBytes) {
        throw new MessageTooLargeError(
          `the request has ${request.bytes} bytes, the server takes ${maxMessageBytes}, and gradients of a normalization have no stream`,
        );
      }
    }
    const tensors = landedTensors(await caller.unary(scope, "NormalizeBackward", request, LAYOUT));
    const like = <D extends DType>(field: string, index: number, sent: Tensor<D>): Tensor<D> => {
      const landed = tensors.get(index);
      if (landed === undefined) throw protocolError(field, "is missing");
      return tensorLike(field, landed.message, landed.data, sent);
    };
    return {
      gradInput: like("grad_input", 12, input),
      gradWeight: sides.weight === undefined ? undefined : like("grad_weight", 10, sides.weight),
      gradBias: sides.bias === undefined ? undefined : like("grad_bias", 11, sides.bias),
    };
  });
}
