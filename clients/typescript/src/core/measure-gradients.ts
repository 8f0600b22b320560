/** MeasureGradients. */

import { fromBinary } from "@bufbuild/protobuf";

import {
  MeasureGradientsRequestSchema,
  MeasureGradientsResponseSchema,
  type NormPartial as NormPartialMessage,
} from "../gen/evenkeel/v1/tensor_ops_pb.js";
import { frame, type Bulk, type Framed, type InitOf } from "../wire/writer.js";
import { number } from "./arguments.js";
import type { Caller } from "./caller.js";
import { sizeOf } from "./dtype.js";
import { InvalidArgumentError, protocolError } from "./errors.js";
import { listed, type Gradients, type Named } from "./gradients.js";
import { NormPartial } from "./norm-partial.js";
import { checkOptions, type CallOptions, type Scope } from "./scope.js";
import { messageRoom } from "./stream.js";

/** Options of `measureGradients`. */
export interface MeasureGradientsOptions extends CallOptions {
  /** The order of the norm: 1, 2 or Infinity, whose terms can be added exactly. Default: 2. */
  readonly normType?: number | undefined;
}

const GRADIENTS = 15;

/** What a message, and each piece in it, has beside elements. */
const OVERHEAD = 64;

/** Packs gradients into messages of at most `room` bytes, and cuts those that do not fit. */
export function* gradientMessages(
  gradients: readonly Named[],
  normType: number | undefined,
  room: number,
): Generator<Framed> {
  let bulk: Bulk[] = [];
  let left = room - OVERHEAD;
  // The order of the norm is in the first message.
  let fields: InitOf<typeof MeasureGradientsRequestSchema> = normType === undefined ? {} : { normType };
  let count = 0;
  const message = (): Framed => {
    const framed = frame(MeasureGradientsRequestSchema, fields, bulk);
    [bulk, left, fields] = [[], room - OVERHEAD, {}];
    count += 1;
    return framed;
  };
  for (const { tensor } of gradients) {
    const { dtype, bytes } = tensor;
    const size = sizeOf(dtype);
    for (let at = 0; at < bytes.length;) {
      const fitting = Math.floor((left - OVERHEAD) / size) * size;
      if (fitting <= 0 && bulk.length > 0) {
        yield message();
        continue;
      }
      const data = bytes.subarray(at, at + Math.max(fitting, size));
      bulk.push([GRADIENTS, { dtype, shape: [data.length / size], data }]);
      left -= data.length + OVERHEAD;
      at += data.length;
    }
  }
  // Without gradients there is one message, for the order of the norm.
  if (bulk.length > 0 || count === 0) yield message();
}

/** Measures by messages of at most so many bytes. */
export async function collectNorm(
  caller: Caller,
  scope: Scope,
  room: number,
  gradients: readonly Named[],
  normType: number | undefined,
): Promise<NormPartial> {
  const landed = await caller.collect(scope, "MeasureGradients", () => gradientMessages(gradients, normType, room));
  const { partial, totalNorm } = fromBinary(MeasureGradientsResponseSchema, landed.rest);
  if (partial === undefined) throw protocolError("partial", "is missing");
  const norm = checked(partial);
  expect("partial.norm_type", norm.normType, normType ?? 2);
  expect("partial.elements", norm.elements, BigInt(gradients.reduce((sum, { tensor }) => sum + tensor.size, 0)));
  if (!(Number.isNaN(totalNorm) && Number.isNaN(norm.totalNorm))) expect("total_norm", totalNorm, norm.totalNorm);
  return norm;
}

function checked(partial: NormPartialMessage): NormPartial {
  try {
    return NormPartial.fromMessage(partial);
  } catch (error) {
    if (error instanceof InvalidArgumentError) throw protocolError("partial", `is invalid: ${error.message}`);
    throw error;
  }
}

function expect<T extends number | bigint>(field: string, given: T, due: T): void {
  if (given !== due) throw protocolError(field, `is ${given} where ${due} is due`);
}

export async function measureGradients(
  caller: Caller,
  gradients: Gradients,
  options: MeasureGradientsOptions,
): Promise<NormPartial> {
  checkOptions(options, ["normType"]);
  const list = listed(gradients);
  const normType = options.normType === undefined ? undefined : number("norm_type", options.normType);
  return caller.within(options, async (scope) => {
    const bytes = list.reduce((sum, { tensor }) => sum + tensor.bytes.length + OVERHEAD, 0);
    return collectNorm(caller, scope, await messageRoom(caller, scope, bytes), list, normType);
  });
}
