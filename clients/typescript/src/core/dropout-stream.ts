/** Dropout of a tensor that is larger than a message, forward or backward. */

import { fromBinary } from "@bufbuild/protobuf";

import { DropoutStreamRequestSchema, DropoutStreamResponseSchema } from "../gen/evenkeel/v1/tensor_ops_pb.js";
import { frame, type Framed, type InitOf } from "../wire/writer.js";
import { checkForm } from "./answer.js";
import type { Attempt, Caller } from "./caller.js";
import { elementsOf, type DType } from "./dtype.js";
import type { BackwardInit, DropoutInit } from "./dropout.js";
import { protocolError } from "./errors.js";
import { tensorInit } from "./normalize-options.js";
import type { Scope } from "./scope.js";
import { cut, Order, Output, withoutHeader, type Streamed } from "./stream.js";
import { Tensor } from "./tensor.js";

const MASK = 14;
const DATA = 15;

/** The request without its tensor. */
export type DropoutHeader =
  | { readonly case: "header"; readonly init: DropoutInit }
  | { readonly case: "backwardHeader"; readonly init: BackwardInit };

interface Outcome<D extends DType> {
  readonly output: Tensor<D>;
  readonly kept: bigint;
  readonly mask: Uint8Array;
}

type RequestInit = InitOf<typeof DropoutStreamRequestSchema>;

function* messages(header: DropoutHeader, tensor: Tensor, chunk: number): Generator<Framed> {
  const described = tensorInit(tensor, false);
  const request: RequestInit =
    header.case === "header"
      ? { part: { case: "header", value: { ...header.init, input: described } } }
      : { part: { case: "backwardHeader", value: { ...header.init, gradOutput: described } } };
  yield frame(DropoutStreamRequestSchema, request);
  for (const data of cut(tensor.bytes, chunk)) yield frame(DropoutStreamRequestSchema, {}, [[DATA, data]]);
}

export async function dropoutStream<D extends DType>(
  caller: Caller,
  scope: Scope,
  { chunk }: Streamed,
  header: DropoutHeader,
  tensor: Tensor<D>,
  maskBytes: number,
): Promise<Outcome<D>> {
  const output = new Output("data", caller.transport.allocate(tensor.bytes.length));
  const mask = new Output("mask", caller.transport.allocate(maskBytes));
  const attempt = (): Attempt<Outcome<D>> => {
    output.reset();
    mask.reset();
    const order = new Order();
    let kept = 0n;
    return {
      messages: messages(header, tensor, chunk),
      layout: { bytes: [MASK, DATA] },
      place: (field, bytes) => {
        order.inside();
        return (field === MASK ? mask : output).take(bytes);
      },
      take: ({ rest, bytes }) => {
        const { part } = fromBinary(DropoutStreamResponseSchema, rest);
        if (part.case === "header" || part.case === "backwardHeader") {
          order.header();
          const described = part.case === "header" ? part.value.output : part.value.gradInput;
          if (part.case !== header.case) throw protocolError("header", "belongs to another call");
          checkForm(part.case === "header" ? "output" : "grad_input", described, tensor);
        } else if (part.case === "summary") {
          order.summary();
          ({ kept } = part.value);
        } else if (bytes.size === 0) {
          throw protocolError("part", "is missing");
        }
      },
      result: () => {
        order.end();
        output.complete();
        mask.complete();
        return {
          output: new Tensor(tensor.dtype, tensor.shape, elementsOf(tensor.dtype, output.bytes)),
          kept,
          mask: mask.bytes,
        };
      },
    };
  };
  return withoutHeader(caller.invoke(scope, { name: "DropoutStream", kind: "stream" }, attempt));
}
