// Calls the service as a page in a browser does, with Connect's client of gRPC-Web: node --test check.mjs, EVENKEEL_URL set.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { fetchFrom } from "./browser.mjs";
import { LAYER, NORM, TensorOpsService, elements, tensor } from "./contract.mjs";

const baseUrl = process.env.EVENKEEL_URL;
const OURS = "https://app.example.com";

const page = (origin) => {
  const fetch = fetchFrom(origin);
  return { fetch, client: createClient(TensorOpsService, createGrpcWebTransport({ baseUrl, fetch })) };
};
const { fetch: asked, client } = page(OURS);

const failure = async (call) => {
  const error = await call.then(() => assert.fail("it must fail"), (error) => error);
  assert.ok(error instanceof ConnectError, String(error));
  return error;
};
const near = (actual, expected) => {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, index) => assert.ok(Math.abs(value - expected[index]) < 1e-6, `${actual} is not ${expected}`));
};

test("a normalization", async () => {
  const { output } = await client.normalize({ kind: LAYER, input: tensor([1, 4], [40000, 40001, 40002, 40003]) });
  near(elements(output), [-1.3416355, -0.4472118, 0.4472118, 1.3416355]);
  assert.ok(asked.preflights > 0, "a browser asks first");
});

test("its backward pass, which sums to nothing", async () => {
  const input = tensor([1, 4], [1, 2, 4, 8]);
  const { gradInput } = await client.normalizeBackward({ kind: LAYER, input, gradOutput: tensor([1, 4], [1, 0, 0, 0]) });
  near([elements(gradInput).reduce((sum, element) => sum + element, 0)], [0]);
});

test("dropout and its backward pass, which drop the same", async () => {
  const ones = tensor([64], Array(64).fill(1));
  const { output } = await client.dropout({ p: 0.5, seed: 42n, input: ones });
  const { gradInput } = await client.dropoutBackward({ p: 0.5, seed: 42n, gradOutput: ones });
  assert.deepEqual(elements(output), elements(gradInput));
  assert.deepEqual([...new Set(elements(output))].sort(), [0, 2]);
});

test("clipping", async () => {
  const { gradients, totalNorm } = await client.clipGradients({ mode: NORM, threshold: 1, gradients: [tensor([2], [3, 4])] });
  near([totalNorm, ...elements(gradients[0])], [5, 0.6, 0.8]);
});

test("a tensor of megabytes, and the same bits each time", async () => {
  const input = tensor([8, 100_000], Array.from({ length: 800_000 }, (_, index) => (index * index) % 1009));
  const [first, second] = await Promise.all([1, 2].map(() => client.normalize({ kind: LAYER, input })));
  assert.equal(first.output.data.length, 3_200_000);
  assert.deepEqual(Buffer.compare(first.output.data, second.output.data), 0);
});

test("an error has its code, its words and its details", async () => {
  const error = await failure(client.dropout({ p: 2, input: tensor([1], [1]) }));
  assert.equal(error.code, Code.InvalidArgument);
  assert.match(error.rawMessage, /^p: /);
  assert.equal(error.details[0].type, "google.rpc.BadRequest");
});

test("a deadline is sent, and kept", async () => {
  const error = await failure(client.dropout({ p: 0.5, input: tensor([1], [1]) }, { headers: { "grpc-timeout": "0n" } }));
  assert.equal(error.code, Code.DeadlineExceeded);
  await client.dropout({ p: 0.5, input: tensor([1], [1]) }, { timeoutMs: 60_000 });
});

test("pages of others may not call", async () => {
  const error = await failure(page("https://app.example.org").client.dropout({ p: 0.5, input: tensor([1], [1]) }));
  assert.match(error.rawMessage, /CORS/);
});
