/** What needs no server: tensors, conversions, masks, partials, errors. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { InvalidArgumentError, keepMask, NormPartial, Tensor, tensor, unpackMask, VERSION } from "@evenkeel/client";

import { rootOfUnits, valueOfUnits } from "../src/core/exact.js";
import { versionWarning } from "../src/core/server-info.js";
import { countSets } from "../src/core/sets.js";

/** Fails unless the work is refused because of this argument. */
export function refused(path: string, work: () => unknown): void {
  assert.throws(work, (error) => {
    assert.ok(error instanceof InvalidArgumentError, String(error));
    assert.deepEqual(
      error.fields.map((field) => field.path),
      [path],
      error.message,
    );
    return true;
  });
}

test("tensors take arrays without copying them", () => {
  const array = new Float32Array([0, 1, 2, 3, 4, 5]).subarray(1, 5);
  const matrix = tensor(array, [2, 2]);
  assert.equal(matrix.data, array);
  assert.deepEqual([matrix.dtype, matrix.shape, matrix.size], ["float32", [2, 2], 4]);
  assert.equal(matrix.bytes.buffer, array.buffer);
  assert.deepEqual([...matrix.bytes], [...new Uint8Array(array.slice().buffer)]);
  assert.deepEqual(tensor(new Float64Array(3)).shape, [3]);
  assert.deepEqual(tensor(new Float32Array([7]), []).shape, []);
});

test("nested numbers give the shape", () => {
  const cube = tensor(
    [
      [[1], [2]],
      [[3], [4]],
      [[5], [6]],
    ],
    undefined,
    "float64",
  );
  assert.deepEqual([cube.dtype, cube.shape, cube.toNumbers()], ["float64", [3, 2, 1], [1, 2, 3, 4, 5, 6]]);
  assert.deepEqual(tensor([]).shape, [0]);
  assert.deepEqual(tensor([[], []]).shape, [2, 0]);
  assert.deepEqual(tensor([1, 2, 3, 4], [2, 2], "bfloat16").toNumbers(), [1, 2, 3, 4]);
  refused("data[1]", () => tensor([[1, 2], [3]]));
  refused("data[0][1]", () => tensor([[1, "2" as unknown as number]]));
});

test("shapes that do not fit are refused", () => {
  refused("shape", () => tensor(new Float32Array(4), [2, 3]));
  refused("shape[0]", () => tensor(new Float32Array(4), [-2, 2]));
  refused("shape[1]", () => tensor(new Float32Array(4), [2, 2.5]));
  refused("dtype", () => tensor(new Uint16Array(4) as unknown as Float32Array));
  refused("dtype", () => tensor([1], undefined, "int8" as "float32"));
  refused("data", () => tensor(new Int8Array(4) as unknown as Float32Array));
});

test("elements are rounded once, to nearest, ties to even", () => {
  const bits = (values: readonly number[], dtype: "float16" | "bfloat16"): string[] =>
    [...tensor(values, undefined, dtype).data].map((element) => element.toString(16).padStart(4, "0"));
  assert.deepEqual(
    bits([1, -2, 65504, 65519.99, 65520, 2 ** -24, 2 ** -25, 1.1 * 2 ** -25, 0, -0, Infinity, NaN], "float16"),
    ["3c00", "c000", "7bff", "7bff", "7c00", "0001", "0000", "0001", "0000", "8000", "7c00", "7e00"],
  );
  // 1 + 2^-11 is a tie, and goes to the even 1; a little more than a float32 can show goes up.
  assert.deepEqual(bits([1 + 2 ** -11, 1 + 2 ** -11 + 2 ** -52, 1 + 3 * 2 ** -11], "float16"), [
    "3c00",
    "3c01",
    "3c02",
  ]);
  assert.deepEqual(
    bits([1, 1 + 2 ** -8, 1 + 2 ** -8 + 2 ** -50, 3.3895e38, 3.4e38, 2 ** -133, 2 ** -134, NaN], "bfloat16"),
    ["3f80", "3f80", "3f81", "7f7f", "7f80", "0001", "0000", "7fc0"],
  );
});

test("every half float comes back from wider types", () => {
  const all = Uint16Array.from({ length: 1 << 16 }, (_, index) => index);
  for (const dtype of ["float16", "bfloat16"] as const) {
    const halves = tensor(all, undefined, dtype);
    for (const wide of ["float32", "float64"] as const) {
      const back = halves.to(wide).to(dtype).data;
      const quiet = dtype === "float16" ? 0x200 : 0x40;
      const special = dtype === "float16" ? 0x7c00 : 0x7f80;
      back.forEach((element, index) => {
        const isNaN = (index & 0x7fff) > special;
        assert.equal(element, isNaN ? index | quiet : index, `${index.toString(16)} by ${wide}`);
      });
    }
  }
});

test("float16 arrays of the engine are taken where there are some", { skip: !("Float16Array" in globalThis) }, () => {
  const Float16 = (globalThis as unknown as { Float16Array: new (values: number[]) => Float32Array }).Float16Array;
  assert.deepEqual(tensor(new Float16([1, 2])).toNumbers(), [1, 2]);
});

test("masks are NumPy's", () => {
  // np.random.Philox(key=42).random_raw(4).view('<u4') >= np.uint64(2**31)
  assert.equal(keepMask(8, { p: 0.5, seed: 42n }).join(""), "01001100");
  const whole = keepMask(1000, { p: 0.7, seed: 2n ** 64n - 1n });
  assert.deepEqual(keepMask(333, { p: 0.7, seed: 2n ** 64n - 1n, offset: 7 }), whole.slice(7, 340));
  assert.deepEqual([...keepMask(3, { p: 0 })], [1, 1, 1]);
  assert.deepEqual([...keepMask(3, { p: 1 })], [0, 0, 0]);
  assert.equal(keepMask(20, { p: 0.5, seed: 42, offset: 2n ** 64n - 20n }).length, 20);
  refused("offset", () => keepMask(21, { p: 0.5, offset: 2n ** 64n - 20n }));
  refused("p", () => keepMask(1, { p: NaN }));
  refused("seed", () => keepMask(1, { p: 0.5, seed: 2 ** 53 }));
  refused("seed", () => keepMask(1, { p: 0.5, seed: -1n }));
  refused("sed", () => keepMask(1, { p: 0.5, sed: 1 } as { p: number }));
  assert.deepEqual([...unpackMask(Uint8Array.of(0b101, 1), 10)], [1, 0, 1, 0, 0, 0, 0, 0, 1, 0]);
  refused("n", () => unpackMask(Uint8Array.of(1), 9));
});

test("roots and sums of exact numbers are rounded once", () => {
  const one = 2n ** 2148n;
  assert.equal(rootOfUnits(25n * one), 5);
  assert.equal(rootOfUnits(2n * one), Math.SQRT2);
  assert.equal(rootOfUnits(0n), 0);
  assert.equal(rootOfUnits(1n), 5e-324);
  assert.equal(rootOfUnits(2n), 5e-324, "the root of 2 is nearer to 1 than to 2");
  assert.equal(rootOfUnits(3n), 1e-323);
  // The root is 2^53 + 1, a tie, which goes to the even 2^53; a little more goes up.
  const tie = (2n ** 53n + 1n) ** 2n * one;
  assert.equal(rootOfUnits(tie), 2 ** 53);
  assert.equal(rootOfUnits(tie + 1n), 2 ** 53 + 2);
  assert.equal(rootOfUnits((2n ** 1024n - 2n ** 970n) ** 2n * one), Infinity);
  assert.equal(rootOfUnits((2n ** 1024n - 2n ** 970n) ** 2n * one - 1n), Number.MAX_VALUE);
  assert.equal(valueOfUnits(3n * one), 3);
  assert.equal(valueOfUnits((2n ** 53n + 1n) * one), 2 ** 53);
  assert.equal(valueOfUnits((2n ** 53n + 3n) * one), 2 ** 53 + 4);
  assert.equal(valueOfUnits(one << 1024n), Infinity);
});

/** A partial of order 2: fields 1 (norm_type), 2 (elements) and 15 (sum) of the message. */
function partial(elements: number, sum: Uint8Array, normType = 2): Uint8Array {
  const bytes = Buffer.alloc(13 + sum.length);
  bytes[0] = 0x09;
  bytes.writeDoubleLE(normType, 1);
  bytes.set([0x10, elements, 0x7a], 9);
  const length = sum.length < 128 ? [sum.length] : [(sum.length % 128) | 128, sum.length >> 7];
  return Buffer.concat([bytes.subarray(0, 12), Uint8Array.from(length), sum]);
}

test("partials of norms merge, and other bytes are refused", () => {
  const square = (value: bigint): Uint8Array => {
    const sum = new Uint8Array(280);
    new DataView(sum.buffer).setBigUint64(268, (value * value) << 4n, true);
    return sum;
  };
  const [three, four] = [NormPartial.fromBytes(partial(1, square(3n))), NormPartial.fromBytes(partial(2, square(4n)))];
  assert.deepEqual([three.totalNorm, four.totalNorm], [3, 4]);
  const merged = NormPartial.merge(three, four);
  assert.deepEqual([merged.totalNorm, merged.elements], [5, 3n]);
  assert.deepEqual(four.merge(three).toBytes(), merged.toBytes());
  assert.deepEqual(NormPartial.fromBytes(merged.toBytes()).toBytes(), merged.toBytes());
  refused("partial", () => NormPartial.fromBytes(Uint8Array.of(255)));
  refused("norm_type", () => NormPartial.fromBytes(partial(1, square(3n), 3)));
  refused("sum", () => NormPartial.fromBytes(partial(0, square(3n))));
  refused("sum", () => NormPartial.fromBytes(partial(1, new Uint8Array(533).fill(1))));
  refused("sum", () => NormPartial.fromBytes(partial(1, Uint8Array.of(1), 1)));
  refused("norm_type", () => three.merge(NormPartial.fromBytes(partial(1, new Uint8Array(), 1))));
});

test("the number of statistics is known", () => {
  assert.equal(countSets([8, 3, 4], { kind: "layer" }), 24);
  assert.equal(countSets([8, 3, 4, 5], { kind: "rms" }), 8);
  assert.equal(countSets([8, 3, 4], { kind: "batch", channelAxis: -1 }), 4);
  assert.equal(countSets([8, 3, 4], { kind: "instance" }), 24);
  assert.equal(countSets([8, 6, 4], { kind: "group", groups: 2 }), 16);
  assert.equal(countSets([8, 6, 4], { kind: "l2" }), 32);
  assert.equal(countSets([8, 6, 4], { kind: "layer", axes: [0, -1] }), 6);
});

test("a server of another version is told of", () => {
  for (const server of ["1.4.0", "1.5.9", "1.6.0"]) assert.equal(versionWarning(server, "1.5.0"), undefined);
  for (const server of ["1.3.0", "1.7.0", "2.5.0", "?"]) assert.match(versionWarning(server, "1.5.0") ?? "", /version/);
});

test("the version is that of the package", () => {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  assert.equal(VERSION, version);
});

test("what does not fit does not compile", () => {
  // Each line is an error of the compiler, which fails if it is none.
  const check = async (client: import("@evenkeel/client").Client, x: Tensor<"float64">): Promise<void> => {
    // @ts-expect-error -- there is no such option
    await client.normalize(x, { kind: "layer", epsilon: 1 });
    // @ts-expect-error -- the kind is required
    await client.normalize(x, {});
    // @ts-expect-error -- p is required
    await client.dropout(x, { seed: 1n });
    // @ts-expect-error -- groups belong to groupNorm
    await client.layerNorm(x, { groups: 2 });
    const { gradients } = await client.clipGradNorm({ w: x }, 1);
    gradients.w satisfies Tensor<"float64">;
    // @ts-expect-error -- there was no such gradient
    assert.ok(gradients.b);
    const [first, second] = (await client.clipGradNorm([x, new Float32Array(1)], 1)).gradients;
    first satisfies Tensor<"float64">;
    second satisfies Tensor<"float32">;
  };
  assert.equal(typeof check, "function");
});
