/** The reader and the writer of messages, against the generated code. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";

import {
  ClipGradientsRequestSchema,
  ClipGradientsResponseSchema,
  ClipMode,
  DataType,
} from "../src/gen/evenkeel/v1/tensor_ops_pb.js";
import { FrameReader, MessageReceiver } from "../src/wire/receiver.js";
import { MessageReader, type Landed } from "../src/wire/reader.js";
import { concat, frame, PREFIX } from "../src/wire/writer.js";

const data = (length: number): Uint8Array => Uint8Array.from({ length }, (_, index) => (index * 7) % 251);
const place = (_: number, bytes: number): Uint8Array => new Uint8Array(bytes);

test("what is written is what the generated code reads", () => {
  for (const length of [0, 3, 127, 128, 16383, 16384, 70_000]) {
    const bytes = data(length);
    const gradients = [
      { name: "größe", dtype: "float32", shape: [length], data: bytes },
      { dtype: "bfloat16", shape: [2, 3] },
    ] as const;
    const message = { mode: ClipMode.NORM, threshold: 2 };
    const framed = frame(ClipGradientsRequestSchema, message, [
      [15, gradients[0]],
      [15, gradients[1]],
    ]);
    const whole = concat(framed.parts);
    assert.equal(whole.length, PREFIX + framed.bytes);
    assert.equal(new DataView(whole.buffer).getUint32(1), framed.bytes);
    const read = fromBinary(ClipGradientsRequestSchema, whole.subarray(PREFIX));
    assert.deepEqual([read.mode, read.threshold, read.gradients.length], [ClipMode.NORM, 2, 2]);
    assert.deepEqual([read.gradients[0]?.name, read.gradients[0]?.shape], ["größe", [BigInt(length)]]);
    assert.deepEqual(read.gradients[0]?.data, bytes);
    assert.deepEqual(read.gradients[1]?.shape, [2n, 3n]);
    // Elements that are not small are not copied.
    assert.equal(framed.parts.includes(bytes), length >= 16384);
  }
});

const answer = toBinary(
  ClipGradientsResponseSchema,
  create(ClipGradientsResponseSchema, {
    totalNorm: 5,
    clippedElements: 2n ** 63n,
    tensorNorms: [1, 2, 3],
    gradients: [
      { name: "w", dtype: DataType.FLOAT32, shape: [75n], data: data(300) },
      {},
      { shape: [0n] },
      { dtype: DataType.FLOAT64, data: data(8) },
    ],
  }),
);

function checkAnswer({ rest, tensors }: Landed): void {
  const numbers = fromBinary(ClipGradientsResponseSchema, rest);
  assert.deepEqual([numbers.totalNorm, numbers.clippedElements, numbers.tensorNorms], [5, 2n ** 63n, [1, 2, 3]]);
  assert.deepEqual(
    tensors.map(({ message, data: { length } }) => [message.name, message.dtype, length]),
    [
      ["w", 1, 300],
      ["", 0, 0],
      ["", 0, 0],
      ["", 2, 8],
    ],
  );
  assert.deepEqual(tensors[0]?.data, data(300));
}

test("an answer is read however its bytes are cut", () => {
  for (let step = 1; step <= answer.length; step += step < 20 ? 1 : 13) {
    const reader = new MessageReader({ tensors: [15] }, place, answer.length);
    for (let at = 0; at < answer.length; at += step) reader.push(answer.slice(at, at + step));
    checkAnswer(reader.finish());
  }
});

test("frames are read however their bytes are cut", () => {
  const framed = concat([Uint8Array.of(0, 0, 0, answer.length >> 8, answer.length & 255), answer]);
  const end = concat([Uint8Array.of(2, 0, 0, 0, 2), new TextEncoder().encode("{}")]);
  const stream = concat([framed, framed, end]);
  for (const step of [1, 2, 5, 7, 100, stream.length]) {
    const [landed, specials]: [Landed[], string[]] = [[], []];
    const receiver = new MessageReceiver({ tensors: [15] }, place, (message) => landed.push(message));
    const frames = new FrameReader(receiver, (flags, bytes) =>
      specials.push(`${flags} ${new TextDecoder().decode(bytes)}`),
    );
    for (let at = 0; at < stream.length; at += step) frames.push(stream.slice(at, at + step));
    frames.finish();
    assert.equal(landed.length, 2);
    landed.forEach(checkAnswer);
    assert.deepEqual(specials, ["2 {}"]);
  }
});

test("an answer that is cut off, or longer than it says, is refused", () => {
  const read = (bytes: Uint8Array, length: number): unknown => {
    const reader = new MessageReader({ tensors: [15] }, place, length);
    reader.push(bytes);
    return reader.finish();
  };
  for (let length = 0; length < answer.length; length += 1) {
    const isWhole = ((): boolean => {
      try {
        fromBinary(ClipGradientsResponseSchema, answer.subarray(0, length));
        return true;
      } catch {
        return false;
      }
    })();
    if (!isWhole) assert.throws(() => read(answer.subarray(0, length), answer.length), /cut off/, String(length));
  }
  assert.throws(() => read(answer, answer.length - 1), /longer than its message/);
  assert.throws(() => read(Uint8Array.of(0x7a, 0xff, 0xff, 0xff, 0xff, 0x0f), 10), /longer than its message/);
  assert.throws(() => read(new Uint8Array(11).fill(0xff), 11), /varint/);
  assert.throws(() => read(Uint8Array.of(0x0b), 1), /unknown type/);
});
