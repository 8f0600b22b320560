// Dropout and clipping: the pictures, by the values behind them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { call, choose, close, data, isReal, refused, type, withPage } from "./harness.mjs";

/** For each square of the mask's picture, row by row, whether it is filled: by the colour in its middle. */
const squares = (page) => page.locator("#mask").evaluate((canvas) => {
  const { rows, columns, square } = canvas.dataset;
  const context = canvas.getContext("2d");
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = getComputedStyle(canvas).color;
  probe.fillRect(0, 0, 1, 1);
  const filled = [...probe.getImageData(0, 0, 1, 1).data].join();
  return Array.from({ length: rows * columns }, (_, i) => {
    const [x, y] = [(i % columns) * square + Math.floor(square / 2), Math.floor(i / columns) * square + Math.floor(square / 2)];
    return [...context.getImageData(x, y, 1, 1).data].join() === filled;
  });
});

const bits = (mask, count) => {
  const bytes = Buffer.from(mask, "base64");
  return Array.from({ length: count }, (_, i) => ((bytes[i >> 3] >> (i & 7)) & 1) === 1);
};

test("the mask is drawn, and changes with p and seed", () => withPage({}, async (page) => {
  const first = await call(page, "Dropout", () => choose(page, "operation", "Dropout"));
  assert.deepEqual(await squares(page), bits(first.answer.mask, 64));
  const picture = await squares(page);
  const seed = await call(page, "Dropout", () => page.getByRole("button", { name: "Next seed" }).click());
  assert.equal(seed.sent.seed, 43);
  assert.deepEqual(await squares(page), bits(seed.answer.mask, 64));
  assert.notDeepEqual(await squares(page), picture);
  const p = await call(page, "Dropout", () => page.locator("#dropout-p-slider").fill("0.9"));
  assert.equal(p.sent.p, 0.9);
  assert.equal(await page.locator("#dropout-p").inputValue(), "0.9");
  const kept = (await squares(page)).filter(Boolean).length;
  assert.equal(kept, Number(p.answer.kept));
  assert.ok(kept < picture.filter(Boolean).length);
  assert.match(await page.locator("#facts").textContent(), new RegExp(`elements kept${kept} of 64`));
  const all = await call(page, "Dropout", () => type(page, "dropout-p", "0"));
  assert.equal(all.answer.kept, "64");
  assert.ok((await squares(page)).every(Boolean));
  // The picture has the theme's colours.
  await choose(page, "theme", "Dark");
  assert.ok((await squares(page)).every(Boolean));
}));

test("a draw of a channel is one square", () => withPage({}, async (page) => {
  await choose(page, "operation", "Dropout");
  const { sent, answer } = await call(page, "Dropout", () => choose(page, "dropout-kind", "CHANNEL"));
  assert.equal(sent.kind, "DROPOUT_KIND_CHANNEL");
  assert.deepEqual(await squares(page), bits(answer.mask, 16));
  assert.equal((await data(page, "#mask")).columns, "4");
  const plain = await call(page, "Dropout", () => choose(page, "dropout-scaling", "NONE"));
  assert.equal(plain.sent.scaling, "DROPOUT_SCALING_NONE");
  assert.equal(await page.locator(".formula[data-scalings=NONE]").isVisible(), true);
  await page.locator("#dropout-return_mask").uncheck();
  await page.waitForSelector("#mask", { state: "hidden" });
  assert.match(await page.locator("#mask-caption").textContent(), /Tick return_mask/);
}));

test("a seed of 64 bits and a p outside of its range", () => withPage({}, async (page) => {
  await choose(page, "operation", "Dropout");
  const { sent } = await call(page, "Dropout", () => type(page, "dropout-seed", "18446744073709551615"));
  assert.equal(sent.seed, "18446744073709551615");
  await type(page, "dropout-p", "2");
  await refused(page);
  assert.match(await page.locator("#dropout-p-error").textContent(), /^p: /);
  assert.equal(await page.locator("#mask").isVisible(), false);
  await type(page, "dropout-p", "");
  await refused(page);
  assert.match(await page.locator("#dropout-p-error").textContent(), /^p: is required/);
}));

test("the mask is NumPy’s", { skip: !isReal && "the stand-in has draws of its own" }, () => withPage({}, async (page) => {
  await choose(page, "operation", "Dropout");
  await type(page, "input-shape", "8");
  await type(page, "input-values", "1 1 1 1 1 1 1 1");
  const { answer } = await call(page, "Dropout", () => type(page, "dropout-p", "0.5"));
  // np.random.Philox(key=42).random_raw(4).view('<u4') >= np.uint64(2**31)
  assert.deepEqual(answer.output.floatData, [0, 2, 0, 0, 2, 2, 0, 0]);
}));

const pairs = (text) => text.split(";").map((pair) => pair.split(",").map(Number));

test("gradients are arrows, clipped by norm and by value", () => withPage({}, async (page) => {
  const { sent, answer } = await call(page, "ClipGradients", () => choose(page, "operation", "ClipGradients"));
  assert.equal(sent.threshold, 2.5);
  const before = [[3, 4], [-2, 1.5], [0.5, -3.5]];
  const total = Math.sqrt(before.flat().reduce((sum, x) => sum + x * x, 0));
  const scale = 2.5 / (total + 1e-6);
  await page.waitForSelector("#status[data-state=ok]", { state: "attached" });
  let [norm, value] = [await data(page, "#arrows-norm"), await data(page, "#arrows-value")];
  assert.deepEqual(pairs(norm.before), before);
  assert.deepEqual(pairs(value.before), before);
  close(pairs(norm.after).flat(), before.flat().map((x) => x * scale));
  close(pairs(value.after).flat(), [2.5, 2.5, -2, 1.5, 0.5, -2.5]);
  close([answer.totalNorm ?? 0], [total]);
  assert.equal(await page.locator("#arrows-norm .after").count(), 3);
  assert.match(await page.locator("#facts").textContent(), /total norm6\.61438/);
  assert.equal(await page.locator("figure.chosen-figure #arrows-norm").count(), 1);

  // In the other mode the same pictures are drawn, and the other one is that of the request.
  await choose(page, "clip-mode", "VALUE");
  await page.waitForSelector("#status[data-state=ok]", { state: "attached" });
  assert.equal(await page.locator("#clip-epsilon").isVisible(), false);
  assert.equal(await page.locator("figure.chosen-figure #arrows-value").count(), 1);
  assert.match(await page.locator("#facts").textContent(), /elements clamped3/);
  await page.locator("#clip-threshold-slider").fill("1");
  await page.waitForSelector("#status[data-state=ok]", { state: "attached" });
  [norm, value] = [await data(page, "#arrows-norm"), await data(page, "#arrows-value")];
  close(pairs(value.after).flat(), [1, 1, -1, 1, 0.5, -1]);
  close([Math.hypot(...pairs(norm.after).flat())], [1]);

  await choose(page, "clip-mode", "NORM_PER_TENSOR");
  await page.waitForSelector("#status[data-state=ok]", { state: "attached" });
  norm = await data(page, "#arrows-norm");
  close([Math.hypot(...pairs(norm.after).slice(0, 2).flat()), Math.hypot(...pairs(norm.after)[2])], [1, 1]);
  assert.match(await page.locator("#facts").textContent(), /norms of the tensors5\.59017, 3\.53553/);
  await type(page, "clip-norm_type", "inf");
  await page.waitForSelector("#status[data-state=ok]", { state: "attached" });
  assert.equal((await data(page, "#arrows-norm")).order, "Infinity");
}));

test("gradients are added, removed, and named in errors", () => withPage({}, async (page) => {
  await choose(page, "operation", "ClipGradients");
  const added = await call(page, "ClipGradients", () => page.getByRole("button", { name: "Add a gradient" }).click());
  assert.deepEqual(added.sent.gradients.map(({ name }) => name), ["weight", "bias", "gradient 2"]);
  await type(page, "gradients-2-values", "1, 2, 3");
  await refused(page);
  const errors = page.locator('[data-field^="gradients[2]"] .error:visible');
  assert.match(await errors.first().textContent(), /^gradients\[2\]/);
  assert.equal(await page.locator('[data-field^="gradients[0]"] .error:visible').count(), 0);
  const removed = await call(page, "ClipGradients", () => page.getByRole("button", { name: "Remove the last gradient" }).click());
  assert.deepEqual(removed.sent.gradients.map(({ name }) => name), ["weight", "bias"]);
  await type(page, "clip-threshold", "-1");
  await refused(page);
  assert.match(await page.locator("#clip-threshold-error").textContent(), /^threshold: /);
}));
