/**
 * Compares the client with the generated stub of connect-es, and prints a line of JSON for each size:
 *
 *     EVENKEEL_BINARY=evenkeel node build/bench/bench.js
 *
 * Both normalize the same float32 tensor by rows of 1024, in turns; a time is the median. EVENKEEL_ADDRESS names a server that runs
 * already, which must take messages of more than 64 MiB. EVENKEEL_BENCH_SCALE is a factor for the number of rounds, such as 0.1.
 */

import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Client, tensor } from "@evenkeel/client";
import { startServer } from "@evenkeel/client/testing";

import { DataType, NormKind, TensorOpsService } from "../src/gen/evenkeel/v1/tensor_ops_pb.js";

const ROW = 1024;
const scale = Number(process.env["EVENKEEL_BENCH_SCALE"] ?? 1);
const address =
  process.env["EVENKEEL_ADDRESS"] ?? (await startServer({ args: ["--max-message-bytes=134217728"] })).address;

const client = new Client(address);
const stub = createClient(
  TensorOpsService,
  createGrpcTransport({ baseUrl: `http://${address}`, nodeOptions: { maxSessionMemory: 512 } }),
);

async function byClient(x: Float32Array): Promise<Float32Array> {
  const { output } = await client.layerNorm(tensor(x, [x.length / ROW, ROW]));
  return output.data;
}

/** The shortest right code of a user of the stub: an array of the elements needs aligned bytes, and so a copy. */
async function byStub(x: Float32Array): Promise<Float32Array> {
  const data = new Uint8Array(x.buffer, x.byteOffset, x.byteLength);
  const shape = [BigInt(x.length / ROW), BigInt(ROW)];
  const { output } = await stub.normalize({ kind: NormKind.LAYER, input: { dtype: DataType.FLOAT32, shape, data } });
  return new Float32Array((output?.data ?? new Uint8Array()).slice().buffer);
}

function median(times: readonly number[]): number {
  return [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? NaN;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

const sizes: [bytes: number, rounds: number][] = [
  [4 << 10, 301],
  [256 << 10, 101],
  [4 << 20, 41],
  [64 << 20, 9],
];

for (const [bytes, rounds] of sizes) {
  const x = new Float32Array(bytes / 4).map((_, index) => Math.sin(index));
  const [expected, given] = [await byStub(x), await byClient(x)];
  if (Buffer.compare(Buffer.from(expected.buffer), Buffer.from(given.buffer)) !== 0)
    throw new Error("the results differ");
  const times: { client: number[]; stub: number[] } = { client: [], stub: [] };
  for (let round = 0; round < Math.max(1, rounds * scale); round += 1) {
    times.client.push(await timed(() => byClient(x)));
    times.stub.push(await timed(() => byStub(x)));
  }
  const [clientSeconds, stubSeconds] = [median(times.client), median(times.stub)];
  const line = { bytes, client_seconds: clientSeconds, stub_seconds: stubSeconds, ratio: stubSeconds / clientSeconds };
  console.log(JSON.stringify(line));
}
await client.close();
process.exit(); // ends the server, and the connection of the stub, which has no way to be closed
