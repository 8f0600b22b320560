/** ClipGradients of gradients that are larger than a message, in one pass or two. */

import { fromBinary } from "@bufbuild/protobuf";

import {
  ClipGradientsStreamRequestSchema,
  ClipGradientsStreamResponseSchema,
  ClipMode,
  type ClipGradientsResponse,
} from "../gen/evenkeel/v1/tensor_ops_pb.js";
import { frame, type Framed } from "../wire/writer.js";
import { checkForm } from "./answer.js";
import type { Attempt, Caller } from "./caller.js";
import type { ClipInit, ClipOutcome } from "./clip.js";
import { elementsOf } from "./dtype.js";
import { NeedsTwoPassesError, NonfiniteNormError, protocolError } from "./errors.js";
import type { Named } from "./gradients.js";
import { collectNorm } from "./measure-gradients.js";
import { NormPartial } from "./norm-partial.js";
import { tensorInit } from "./normalize-options.js";
import type { Scope } from "./scope.js";
import { cut, Order, Output, withoutHeader, type Streamed } from "./stream.js";
import { Tensor } from "./tensor.js";

const DATA = 15;

/** Clips by a stream, in two passes if the server asks for them. */
export async function clipStream(
  caller: Caller,
  scope: Scope,
  streamed: Streamed,
  init: ClipInit,
  gradients: readonly Named[],
): Promise<ClipOutcome> {
  try {
    return await exchange(caller, scope, streamed, init, gradients);
  } catch (error) {
    if (!(error instanceof NeedsTwoPassesError) || !canBeMeasured(init)) throw error;
  }
  const { normType } = init;
  if (init.mode === ClipMode.NORM) {
    const { totalNorm } = await collectNorm(caller, scope, streamed.chunk, gradients, normType);
    return exchange(caller, scope, streamed, { ...init, totalNorm }, gradients);
  }
  return clipEach(caller, scope, streamed, init, gradients);
}

/** Whether a norm that was measured before can take the place of the gradients' own. */
function canBeMeasured({ mode, normType = 2, totalNorm, notAbove = false }: ClipInit): boolean {
  const isByNorm = mode === ClipMode.NORM || mode === ClipMode.NORM_PER_TENSOR;
  return (
    isByNorm && totalNorm === undefined && !notAbove && (normType === 1 || normType === 2 || normType === Infinity)
  );
}

/** Clips by each gradient's norm: every gradient is a clipping of its own, by the norm of all of it. */
async function clipEach(
  caller: Caller,
  scope: Scope,
  streamed: Streamed,
  init: ClipInit,
  gradients: readonly Named[],
): Promise<ClipOutcome> {
  const norms: NormPartial[] = [];
  const clipped: Tensor[] = [];
  let scale = Infinity;
  for (const [index, gradient] of gradients.entries()) {
    const norm = await collectNorm(caller, scope, streamed.chunk, [gradient], init.normType);
    const one: ClipInit = { ...init, mode: ClipMode.NORM, totalNorm: norm.totalNorm };
    const outcome = await ofGradient(index, exchange(caller, scope, streamed, one, [gradient]));
    norms.push(norm);
    clipped.push(...outcome.gradients);
    scale = Math.min(scale, outcome.scale); // NaN if one is NaN
  }
  const [first, ...others] = norms;
  return {
    totalNorm: first === undefined ? 0 : NormPartial.merge(first, ...others).totalNorm,
    scale,
    clippedElements: 0n,
    tensorNorms: norms.map((norm) => norm.totalNorm),
    gradients: clipped,
  };
}

/** Errors of a call with one gradient, as of one with all. */
async function ofGradient<T>(index: number, call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!(error instanceof NonfiniteNormError)) throw error;
    const gradients = error.gradients.map(({ name }) => ({ index, name }));
    const { totalNorm, nanElements, infiniteElements, nonfiniteGradients, reason } = error;
    const nonfinite = { totalNorm, nanElements, infiniteElements, nonfiniteGradients, gradients };
    throw new NonfiniteNormError(error.message, nonfinite, { reason, cause: error });
  }
}

function* messages(init: ClipInit, gradients: readonly Named[], chunk: number): Generator<Framed> {
  yield frame(ClipGradientsStreamRequestSchema, { part: { case: "header", value: init } });
  for (const { name, tensor } of gradients) {
    const value = { ...tensorInit(tensor, false), name };
    yield frame(ClipGradientsStreamRequestSchema, { part: { case: "tensor", value } });
    for (const data of cut(tensor.bytes, chunk)) yield frame(ClipGradientsStreamRequestSchema, {}, [[DATA, data]]);
  }
}

async function exchange(
  caller: Caller,
  scope: Scope,
  { chunk }: Streamed,
  init: ClipInit,
  gradients: readonly Named[],
): Promise<ClipOutcome> {
  const outputs = gradients.map(
    ({ tensor }, index) => new Output(`gradients[${index}].data`, caller.transport.allocate(tensor.bytes.length)),
  );
  const attempt = (): Attempt<ClipOutcome> => {
    for (const output of outputs) output.reset();
    const order = new Order();
    let begun = 0;
    let summary: ClipGradientsResponse | undefined;
    return {
      messages: messages(init, gradients, chunk),
      layout: { bytes: [DATA] },
      place: (_, bytes) => {
        order.inside();
        const output = outputs[begun - 1];
        if (output === undefined)
          throw protocolError("tensor", "is missing before data: each gradient begins with one");
        return output.take(bytes);
      },
      take: ({ rest, bytes }) => {
        const { part } = fromBinary(ClipGradientsStreamResponseSchema, rest);
        if (part.case === "header") {
          order.header();
        } else if (part.case === "tensor") {
          order.inside();
          const sent = gradients[begun];
          if (sent === undefined) throw protocolError("gradients", "are more than were sent");
          checkForm(`gradients[${begun}]`, part.value, sent.tensor, sent.name);
          begun += 1;
        } else if (part.case === "summary") {
          order.summary();
          summary = part.value;
        } else if (!bytes.has(DATA)) {
          throw protocolError("part", "is missing");
        }
      },
      result: () => {
        order.end();
        for (const output of outputs) output.complete();
        if (summary === undefined || begun < gradients.length) {
          throw protocolError("gradients", `end before the one at index ${begun}`);
        }
        const { totalNorm, scale, clippedElements, tensorNorms } = summary;
        const clipped = gradients.map(({ tensor: { dtype, shape } }, index) => {
          const bytes = outputs[index]?.bytes ?? new Uint8Array();
          return new Tensor(dtype, shape, elementsOf(dtype, bytes));
        });
        return { totalNorm, scale, clippedElements, tensorNorms, gradients: clipped };
      },
    };
  };
  return withoutHeader(caller.invoke(scope, { name: "ClipGradientsStream", kind: "stream" }, attempt));
}
