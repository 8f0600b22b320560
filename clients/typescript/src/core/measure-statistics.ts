/** MeasureStatistics. */

import { fromBinary } from "@bufbuild/protobuf";

import {
  MeasureStatisticsRequestSchema,
  StatisticsPartialSchema,
  type StatisticsPartial as StatisticsMessage,
  type NormalizeBackwardRequestSchema,
} from "../gen/evenkeel/v1/tensor_ops_pb.js";
import { frame, type Bulk, type Framed, type InitOf } from "../wire/writer.js";
import { isSame } from "./answer.js";
import type { Caller } from "./caller.js";
import { InvalidArgumentError, protocolError } from "./errors.js";
import { kindFromWire } from "./kinds.js";
import { POOL_OPTIONS, poolInit, tensorInit, type NormalizeInit, type PoolOptions } from "./normalize-options.js";
import { checkOptions, type CallOptions, type Scope } from "./scope.js";
import { setsShape } from "./sets.js";
import { StatisticsPartial } from "./statistics-partial.js";
import { messageRoom, withoutHeader } from "./stream.js";
import { asTensor, type Tensor, type TensorLike } from "./tensor.js";

/** Options of `measureStatistics`. */
export interface MeasureStatisticsOptions extends PoolOptions, CallOptions {
  /** `"batch"`, `"instance"`: the gradient of the output, of the input's shape and type: the statistics are for the gradients. */
  readonly gradOutput?: TensorLike | undefined;
}

/** What is measured. */
export interface StatisticsWork {
  readonly input: Tensor;
  readonly gradOutput?: Tensor | undefined;
  /** The fields that say what is pooled. */
  readonly pool: NormalizeInit;
}

type RequestInit = InitOf<typeof MeasureStatisticsRequestSchema>;

const DATA = 14;
const GRAD_DATA = 15;

/** What a message has beside elements. */
const OVERHEAD = 64;

/** The longest element: the elements and the gradients of a message are cut at the same place. */
const LONGEST_ELEMENT = 8;

function* messages({ input, gradOutput, pool }: StatisticsWork, room: number): Generator<Framed> {
  const header: RequestInit =
    gradOutput === undefined
      ? { part: { case: "header", value: { ...pool, input: tensorInit(input, false) } } }
      : {
          part: {
            case: "backwardHeader",
            value: {
              ...(pool as InitOf<typeof NormalizeBackwardRequestSchema>),
              input: tensorInit(input, false),
              gradOutput: tensorInit(gradOutput, false),
            },
          },
        };
  yield frame(MeasureStatisticsRequestSchema, header);
  const share = (room - OVERHEAD) / (gradOutput === undefined ? 1 : 2);
  const step = Math.max(Math.floor(share / LONGEST_ELEMENT) * LONGEST_ELEMENT, LONGEST_ELEMENT);
  // Gradients of another size are sent all the same: the server reports the error.
  const length = Math.max(input.bytes.length, gradOutput?.bytes.length ?? 0);
  for (let at = 0; at < length; at += step) {
    const bulk: Bulk[] = [[DATA, input.bytes.subarray(at, at + step)]];
    if (gradOutput !== undefined) bulk.push([GRAD_DATA, gradOutput.bytes.subarray(at, at + step)]);
    yield frame(MeasureStatisticsRequestSchema, {}, bulk);
  }
}

/** Measures by messages of at most so many bytes. */
export async function collectStatistics(
  caller: Caller,
  scope: Scope,
  room: number,
  work: StatisticsWork,
): Promise<StatisticsPartial> {
  const landed = await withoutHeader(caller.collect(scope, "MeasureStatistics", () => messages(work, room)));
  const message = fromBinary(StatisticsPartialSchema, landed.rest);
  checkSets(message, work);
  try {
    return StatisticsPartial.fromMessage(message);
  } catch (error) {
    if (error instanceof InvalidArgumentError) throw protocolError("the partial", `is invalid: ${error.message}`);
    throw error;
  }
}

/** Fails unless statistics can be those of the input. Each set takes time, so that their number comes first. */
function checkSets({ kind, shape, sets }: StatisticsMessage, { input, gradOutput, pool }: StatisticsWork): void {
  const name = kindFromWire(kind);
  if (name === undefined || kind !== pool.kind) throw protocolError("kind", `is ${kind} where ${pool.kind} is due`);
  const { axes, groups, channelAxis } = pool;
  const due = setsShape(input.shape, { kind: name, axes, groups, channelAxis });
  const given = shape.map(Number);
  if (!isSame(given, due)) throw protocolError("shape", `is [${given.join(", ")}] where [${due.join(", ")}] is due`);
  const count = due.reduce((product, dim) => product * dim, 1);
  if (sets.length !== count) throw protocolError("sets", `are ${sets.length} where ${count} are due`);
  const [first] = sets;
  if (first === undefined) return;
  const elements = BigInt(input.size / count);
  if (first.elements !== elements) {
    throw protocolError("sets[0].elements", `is ${first.elements} where ${elements} were sent`);
  }
  if ((first.sumOfGradients !== undefined) !== (gradOutput !== undefined)) {
    throw protocolError("sets[0].sum_of_gradients", "must be there if, and only if, gradients were sent");
  }
}

export async function measureStatistics(
  caller: Caller,
  x: TensorLike,
  options: MeasureStatisticsOptions,
): Promise<StatisticsPartial> {
  checkOptions(options, [...POOL_OPTIONS, "gradOutput"]);
  const input = asTensor("input", x);
  const gradOutput = options.gradOutput === undefined ? undefined : asTensor("grad_output", options.gradOutput);
  const pool = poolInit(options);
  return caller.within(options, async (scope) => {
    const room = await messageRoom(caller, scope, input.bytes.length + (gradOutput?.bytes.length ?? 0));
    return collectStatistics(caller, scope, room, { input, gradOutput, pool });
  });
}
