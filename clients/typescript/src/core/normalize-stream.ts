/** Normalize of a tensor that is larger than a message, in one pass or two. */

import { fromBinary } from "@bufbuild/protobuf";

import {
  NormalizeStreamRequestSchema,
  NormalizeStreamResponseSchema,
  type NormalizeResponse,
} from "../gen/evenkeel/v1/tensor_ops_pb.js";
import { frame, type Framed } from "../wire/writer.js";
import { checkForm } from "./answer.js";
import type { Attempt, Caller } from "./caller.js";
import { NeedsTwoPassesError, protocolError } from "./errors.js";
import { collectStatistics } from "./measure-statistics.js";
import { sideInit, tensorInit, type NormalizeInit, type SideTensors } from "./normalize-options.js";
import type { Scope } from "./scope.js";
import { cut, Order, Output, withoutHeader, type Streamed } from "./stream.js";
import type { Tensor } from "./tensor.js";

const DATA = 15;

/** What a stream has to normalize. */
export interface NormalizeWork {
  readonly input: Tensor;
  readonly sides: SideTensors;
  /** The request without its tensors. */
  readonly init: NormalizeInit;
}

/** An answer without elements, and those of the output. */
export interface NormalizeOutcome {
  readonly answer: NormalizeResponse;
  readonly data: Uint8Array;
}

/** Normalizes by a stream, in two passes if the server asks for them. */
export async function normalizeStream(
  caller: Caller,
  scope: Scope,
  streamed: Streamed,
  work: NormalizeWork,
): Promise<NormalizeOutcome> {
  try {
    return await exchange(caller, scope, streamed, work);
  } catch (error) {
    if (!(error instanceof NeedsTwoPassesError) || !usesOwnStatistics(work)) throw error;
  }
  const { kind, axes, groups, channelAxis } = work.init;
  const pool: NormalizeInit = {
    ...(kind === undefined ? {} : { kind }),
    ...(axes === undefined ? {} : { axes }),
    ...(groups === undefined ? {} : { groups }),
    ...(channelAxis === undefined ? {} : { channelAxis }),
  };
  const statistics = await collectStatistics(caller, scope, streamed.chunk, { input: work.input, pool });
  return exchange(caller, scope, streamed, { ...work, init: { ...work.init, statistics: statistics.toMessage() } });
}

/** Neither running nor merged ones. */
function usesOwnStatistics({ init, sides }: NormalizeWork): boolean {
  return init.statistics === undefined && (init.training ?? sides.runningMean === undefined);
}

function* messages({ input, sides, init }: NormalizeWork, chunk: number): Generator<Framed> {
  const value: NormalizeInit = { ...init, ...sideInit(sides), input: tensorInit(input, false) };
  yield frame(NormalizeStreamRequestSchema, { part: { case: "header", value } });
  for (const data of cut(input.bytes, chunk)) yield frame(NormalizeStreamRequestSchema, {}, [[DATA, data]]);
}

async function exchange(
  caller: Caller,
  scope: Scope,
  { chunk }: Streamed,
  work: NormalizeWork,
): Promise<NormalizeOutcome> {
  const output = new Output("data", caller.transport.allocate(work.input.bytes.length));
  const attempt = (): Attempt<NormalizeOutcome> => {
    output.reset();
    const order = new Order();
    let header: NormalizeResponse | undefined;
    let summary: NormalizeResponse | undefined;
    return {
      messages: messages(work, chunk),
      layout: { bytes: [DATA] },
      place: (_, bytes) => {
        order.inside();
        return output.take(bytes);
      },
      take: ({ rest, bytes }) => {
        const { part } = fromBinary(NormalizeStreamResponseSchema, rest);
        if (part.case === "header") {
          order.header();
          checkForm("output", part.value.output, work.input);
          header = part.value;
        } else if (part.case === "summary") {
          order.summary();
          summary = part.value;
        } else if (!bytes.has(DATA)) {
          throw protocolError("part", "is missing");
        }
      },
      result: () => {
        order.end();
        output.complete();
        if (header === undefined || summary === undefined) throw protocolError("summary", "is missing");
        const sent = header.output;
        return {
          answer: { ...summary, axes: header.axes, ...(sent === undefined ? {} : { output: sent }) },
          data: output.bytes,
        };
      },
    };
  };
  return withoutHeader(caller.invoke(scope, { name: "NormalizeStream", kind: "stream" }, attempt));
}
