/** The calls, of a server of its own. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import {
  Client,
  InvalidArgumentError,
  keepMask,
  MessageTooLargeError,
  NonfiniteNormError,
  NormPartial,
  StatisticsPartial,
  tensor,
  UnauthenticatedError,
  unpackMask,
} from "@evenkeel/client";
import { startServer, type Server } from "@evenkeel/client/testing";
import { Client as WebClient } from "@evenkeel/client/web";

let server: Server;
/** A server with room for small messages and little memory, so that larger tensors are streamed. */
let small: Server;
let client: Client;
let streaming: Client;

before(async () => {
  server = await startServer({ args: ["--grpc-web"] });
  small = await startServer({
    args: ["--max-message-bytes=65536", "--max-stream-chunk-bytes=4096", "--max-bytes-in-flight=393216"],
  });
  client = new Client(server.address);
  streaming = new Client(small.address);
});

after(async () => {
  await Promise.all([client.close(), streaming.close()]);
  await Promise.all([server.stop(), small.stop()]);
});

const values = (length: number): Float32Array => new Float32Array(length).map((_, index) => Math.sin(index) * 3);

test("normalizations and their gradients", async () => {
  const x = tensor([[40000, 40001, 40002, 40003]]);
  const { output, axes, mean, rstd } = await client.layerNorm(x, { returnStatistics: true });
  const expected = [-1.3416355, -0.4472118, 0.4472118, 1.3416355].map(Math.fround);
  assert.deepEqual([...output.data], expected);
  assert.deepEqual([axes, mean?.toNumbers(), rstd?.shape], [[1], [40001.5], [1]]);
  // The result is aligned, and nothing else is in its memory.
  assert.deepEqual([output.data.byteOffset, output.data.buffer.byteLength], [0, 16]);
  const again = await client.normalize(tensor(new Float64Array([3, 5, -2, 2]), [2, 2]), { kind: "layer", eps: 0 });
  assert.deepEqual([...again.output.data], [-1, 1, -1, 1]);
  const weight = tensor([1, 10], [2], "bfloat16");
  const scaled = await client.layerNorm(tensor([[3, 5]]), { eps: 0, weight, bias: new Float64Array([0, 1]) });
  assert.deepEqual(scaled.output.toNumbers(), [-1, 11]);
  const batch = await client.batchNorm(
    tensor([
      [1, 2],
      [3, 6],
    ]),
    {
      runningMean: new Float32Array(2),
      runningVar: tensor([1, 1], [2], "float16"),
      training: true,
      momentum: 0.5,
    },
  );
  assert.deepEqual(batch.runningMean?.toNumbers(), [1, 2]);
  assert.deepEqual([batch.runningVar?.dtype, batch.runningVar?.toNumbers()], ["float16", [1.5, 4.5]]);
  assert.deepEqual(
    (await client.l2Norm(tensor([[3, 4]]))).output.toNumbers().map((value) => value.toFixed(3)),
    ["0.600", "0.800"],
  );
  assert.deepEqual(
    (await client.groupNorm(tensor([[[1], [3], [5], [7]]]), 2, { eps: 0 })).output.toNumbers(),
    [-1, 1, -1, 1],
  );
  const { gradInput, gradBias, gradWeight } = await client.normalizeBackward(x, tensor([[1, 2, 3, 4]]), {
    kind: "layer",
    bias: new Float32Array(4),
  });
  assert.deepEqual([gradInput.shape, gradBias?.toNumbers(), gradWeight], [[1, 4], [1, 2, 3, 4], undefined]);
});

test("dropout has the mask that this program computes", async () => {
  for (const dtype of ["float32", "float64", "float16", "bfloat16"] as const) {
    const ones = tensor(new Array<number>(1003).fill(1), undefined, dtype);
    const options = { p: 0.3, seed: 2n ** 63n, offset: 5 };
    const { output, kept, mask } = await client.dropout(ones, { ...options, returnMask: true, scaling: "none" });
    const keep = keepMask(1003, options);
    assert.deepEqual(output.toNumbers(), [...keep]);
    assert.deepEqual(unpackMask(mask ?? new Uint8Array(), 1003), keep);
    assert.equal(kept, BigInt(keep.reduce((sum, bit) => sum + bit, 0)));
    assert.deepEqual((await client.dropoutBackward(ones, { ...options, scaling: "none" })).data, output.data);
  }
  await assert.rejects(client.dropout(tensor([1]), { p: 0.5, seed: 2 ** 53 }), InvalidArgumentError);
});

test("gradients come back under their names", async () => {
  const [w, b] = [new Float32Array([3, 0]), new Float64Array([0, 4])];
  const clipped = await client.clipGradNorm({ w, b }, 1, { epsilon: 0 });
  assert.deepEqual([clipped.totalNorm, clipped.scale, Object.keys(clipped.gradients)], [5, 0.2, ["w", "b"]]);
  assert.deepEqual([...clipped.gradients.b.data], [0, 0.8]);
  const map = await client.clipGradNorm(
    new Map<string, Float32Array | Float64Array>([
      ["b", b],
      ["w", w],
    ]),
    1,
    { perTensor: true },
  );
  assert.deepEqual(
    [...(map.tensorNorms ?? [])],
    [
      ["b", 4],
      ["w", 3],
    ],
  );
  const list = await client.clipGradValue([w, b], 2);
  assert.deepEqual([list.clippedElements, list.gradients[0].toNumbers()], [2n, [2, 0]]);
  assert.deepEqual((await client.clipGradNorm([], 1)).gradients, []);
  const bad = client.clipGradNorm({ a: w, naughty: new Float32Array([NaN]) }, 1, { errorIfNonfinite: true });
  await assert.rejects(bad, (error) => {
    assert.ok(error instanceof NonfiniteNormError);
    assert.deepEqual([error.totalNorm, error.nanElements, error.gradients], [NaN, 1n, [{ index: 1, name: "naughty" }]]);
    return true;
  });
  await assert.rejects(client.clipGradNorm(w as unknown as [], 1), InvalidArgumentError);
});

test("faults have the paths of their fields", async () => {
  const call = client.layerNorm(tensor([[1, 2]]), { eps: -1, weight: new Float32Array(3) });
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof InvalidArgumentError);
    assert.deepEqual(
      error.fields.map(({ path }) => path),
      ["eps", "weight.shape"],
    );
    return true;
  });
});

test("tensors that are larger than a message are streamed, to the same bytes", async () => {
  const x = tensor(values(40_000), [40, 1000]);
  const options = { kind: "layer", weight: values(1000), returnStatistics: true } as const;
  assert.deepEqual(await streaming.normalize(x, options), await client.normalize(x, options));
  const dropped = { p: 0.4, seed: 9n, returnMask: true };
  assert.deepEqual(await streaming.dropout(x, dropped), await client.dropout(x, dropped));
  const { p, seed } = dropped;
  assert.deepEqual(await streaming.dropoutBackward(x, { p, seed }), await client.dropoutBackward(x, { p, seed }));
  const gradients = { x, none: tensor([]), y: tensor(values(30_000)).to("float16") };
  assert.deepEqual(await streaming.clipGradValue(gradients, 1), await client.clipGradValue(gradients, 1));
  assert.deepEqual(
    await streaming.clipGradNorm(gradients, 1, { totalNorm: 7 }),
    await client.clipGradNorm(gradients, 1, { totalNorm: 7 }),
  );
  await assert.rejects(streaming.normalizeBackward(x, x, { kind: "layer" }), MessageTooLargeError);
  await assert.rejects(streaming.layerNorm(x, { weight: values(3) }), (error) => {
    assert.ok(error instanceof InvalidArgumentError);
    assert.equal(error.fields[0]?.path, "weight.shape");
    return true;
  });
});

test("what a server has no memory for takes two passes", async () => {
  const x = tensor(values(200_000), [2000, 100]);
  const batch = { kind: "batch", returnStatistics: true } as const;
  const [streamed, whole] = [await streaming.normalize(x, batch), await client.normalize(x, batch)];
  assert.deepEqual(streamed.mean, whole.mean);
  assert.equal(streamed.output.shape.length, 2);
  for (const perTensor of [false, true]) {
    const gradients = { x, y: values(150_000) };
    assert.deepEqual(
      await streaming.clipGradNorm(gradients, 1, { perTensor }),
      await client.clipGradNorm(gradients, 1, { perTensor }),
    );
  }
});

test("parts merge to the norm and the statistics of the whole", async () => {
  const all = values(50_000);
  for (const normType of [1, 2, Infinity]) {
    const parts = [all.subarray(0, 7), all.subarray(7, 30_001), all.subarray(30_001)];
    const [first, ...others] = await Promise.all(parts.map((part) => streaming.measureGradients([part], { normType })));
    assert.ok(first !== undefined);
    const whole = await client.measureGradients({ all }, { normType });
    const merged = NormPartial.merge(first, ...others.map((other) => NormPartial.fromBytes(other.toBytes())));
    assert.deepEqual(merged.toBytes(), whole.toBytes());
    assert.equal(merged.totalNorm, (await client.clipGradNorm([all], Infinity, { normType })).totalNorm);
  }
  const kind = "batch";
  const [x, gradOutput] = [tensor(all, [1000, 50]), tensor(all.map(Math.cos), [1000, 50])];
  const top = tensor(all.subarray(0, 20_000), [400, 50]);
  const rest = tensor(all.subarray(20_000), [600, 50]);
  const [a, b] = [await streaming.measureStatistics(top, { kind }), await client.measureStatistics(rest, { kind })];
  const merged = StatisticsPartial.merge(b, StatisticsPartial.fromBytes(a.toBytes()));
  assert.deepEqual(merged.toBytes(), (await client.measureStatistics(x, { kind })).toBytes());
  const output = (await client.normalize(top, { kind, statistics: merged })).output;
  assert.deepEqual(
    output.data.slice(0, 50),
    (await client.normalize(x, { kind, statistics: merged })).output.data.slice(0, 50),
  );
  const both = await streaming.measureStatistics(x, { kind, gradOutput });
  assert.equal(both.hasGradients, true);
  await client.normalizeBackward(x, gradOutput, { kind, statistics: both });
  assert.throws(() => both.merge(a), InvalidArgumentError);
});

test("many large calls are under way on one connection", async () => {
  const x = tensor(values(2 << 20), [2048, 1024]);
  const expected = (await client.layerNorm(x)).output.data;
  const results = await Promise.all(Array.from({ length: 12 }, () => client.layerNorm(x)));
  for (const { output } of results) assert.equal(Buffer.compare(output.bytes, new Uint8Array(expected.buffer)), 0);
});

test("tokens and Unix sockets", async () => {
  const folder = mkdtempSync(join(tmpdir(), "evenkeel-"));
  try {
    writeFileSync(join(folder, "tokens"), "secret\n");
    await using guarded = await startServer({
      listen: `unix:${join(folder, "socket")}`,
      args: ["--auth-token-file", join(folder, "tokens")],
    });
    assert.match(guarded.address, /^unix:/);
    await using known = new Client(guarded.address, { token: "secret" });
    assert.match((await known.serverInfo()).version, /^\d/);
    await using unknown = new Client(guarded.address);
    await assert.rejects(unknown.layerNorm(tensor([[1, 2]])), UnauthenticatedError);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a server that does not start says why", async () => {
  await assert.rejects(startServer({ args: ["--no-such-flag"] }), /no-such-flag/);
  await assert.rejects(startServer({ binary: "/no/such/program" }), /does not start/);
});

for (const protocol of ["connect", "grpc-web"] as const) {
  test(`by fetch and ${protocol}`, async () => {
    await using web = new WebClient(`http://${server.address}`, { protocol });
    const x = tensor(values(300_000), [300, 1000]);
    assert.deepEqual(await web.layerNorm(x), await client.layerNorm(x));
    const parts = { a: values(400_000), b: values(7) };
    assert.deepEqual((await web.measureGradients(parts)).toBytes(), (await client.measureGradients(parts)).toBytes());
    assert.equal((await web.measureStatistics(x, { kind: "batch" })).elements, 300n);
    await assert.rejects(web.dropout(x, { p: 2 }), (error) => {
      assert.ok(error instanceof InvalidArgumentError);
      assert.deepEqual(
        error.fields.map(({ path }) => path),
        ["p"],
      );
      return true;
    });
    await assert.rejects(web.measureGradients([x], { normType: 3 }), InvalidArgumentError);
    await assert.rejects(web.layerNorm(new Float32Array(17 << 20)), /cannot send a request while/);
  });
}
