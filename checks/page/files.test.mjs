// Numbers that are pasted, and files that are dropped or opened.

import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32, deflateSync } from "node:zlib";

import { answered, call, choose, close, npy, table, type, withPage } from "./harness.mjs";

/** Drops a file on an element, as the system does. */
async function drop(page, selector, name, bytes, mime = "") {
  const transfer = await page.evaluateHandle(([name, base64, mime]) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name, { type: mime }));
    return transfer;
  }, [name, Buffer.from(bytes).toString("base64"), mime]);
  for (const event of ["dragenter", "dragover", "drop"]) await page.dispatchEvent(selector, event, { dataTransfer: transfer });
}

const chosen = (page) => page.locator(".chosen").first().textContent();

/** A PNG of these pixels, each red, green and blue. */
function png(width, height, pixels) {
  const chunk = (type, content) => {
    const body = Buffer.concat([Buffer.from(type), content]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(content.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  const rows = Array.from({ length: height }, (_, y) => [0, ...pixels.slice(y * width, (y + 1) * width).flat()]);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", head), chunk("IDAT", deflateSync(Buffer.from(rows.flat()))), chunk("IEND", Buffer.alloc(0)),
  ]);
}

test("numbers in brackets bring their shape", () => withPage({}, async (page) => {
  await choose(page, "normalize-kind", "LAYER");
  const { sent } = await call(page, "Normalize", () => type(page, "input-values", "[[1, 2, 3], [4, 5, 6.5]]"));
  assert.deepEqual(sent.input, { shape: [2, 3], floatData: [1, 2, 3, 4, 5, 6.5] });
  assert.equal(await page.locator("#input-shape").inputValue(), "2, 3");
  const special = await call(page, "Normalize", () => type(page, "input-values", "(1 -inf; NaN\n3, 4, -0)"));
  assert.deepEqual(special.sent.input.floatData, [1, "-Infinity", "NaN", 3, 4, -0]);
}));

test("types other than float32", () => withPage({}, async (page) => {
  await choose(page, "normalize-kind", "LAYER");
  await type(page, "input-shape", "1, 2");
  await type(page, "input-values", "0.1, 0.3");
  const { sent } = await call(page, "Normalize", () => page.locator("#input-dtype").selectOption("float64"));
  assert.equal(sent.input.dtype, "DATA_TYPE_FLOAT64");
  const bytes = Buffer.from(sent.input.data, "base64");
  assert.deepEqual([bytes.readDoubleLE(0), bytes.readDoubleLE(8)], [0.1, 0.3]);
  await answered(page);
}));

test("an .npy file is dropped", () => withPage({}, async (page) => {
  await choose(page, "normalize-kind", "LAYER");
  await answered(page);
  await page.locator("summary", { hasText: "Numbers" }).click();
  for (const [array, dtype, wire] of [
    [new Float32Array([1, 2, 3, 4]), "float32", "DATA_TYPE_FLOAT32"], [new Float64Array([1, 2, 3, 4]), "float64", "DATA_TYPE_FLOAT64"],
  ]) {
    for (const version of [1, 2]) {
      const file = npy(array, [2, 2], { version });
      const { sent } = await call(page, "Normalize", () => drop(page, ".tensor", "x.npy", file));
      assert.deepEqual(sent.input, { dtype: wire, shape: [2, 2], data: Buffer.from(array.buffer).toString("base64") });
      assert.match(await chosen(page), new RegExp(`x.npy: 4 elements of ${dtype}`));
      close((await table(page)).after, [-1, 1, -1, 1].map((x) => x * 0.99998), dtype);
      await page.getByRole("button", { name: "Type numbers instead" }).click();
    }
  }
}));

test("float16 in a file", () => withPage({}, async (page) => {
  await page.locator("summary", { hasText: "Numbers" }).click();
  // 1, -2, the smallest subnormal number, infinity.
  const { sent } = await call(page, "Normalize", () => drop(page, ".tensor", "h.npy", npy(new Uint16Array([0x3c00, 0xc000, 0x0001, 0x7c00]), [1, 4])));
  assert.equal(sent.input.dtype, "DATA_TYPE_FLOAT16");
  assert.match(await page.locator("#before-facts").textContent(), /1 not finite/);
  const { min, max } = await page.locator("#before").evaluate((figure) => ({ ...figure.dataset }));
  assert.deepEqual([Number(min), Number(max)], [-2, 1]);
}));

test("a file that cannot be read says why", () => withPage({}, async (page) => {
  const floats = new Float32Array([1, 2, 3, 4]);
  const good = npy(floats, [2, 2]);
  for (const [name, bytes, words] of [
    ["f.npy", npy(floats, [2, 2], { order: "True" }), /Fortran order.*ascontiguousarray/],
    ["b.npy", npy(floats, [2, 2], { descr: ">f4" }), /big-endian \(>f4\).*astype\("<f4"\)/],
    ["i.npy", npy(new Float64Array(4), [2, 2], { descr: "<i8" }), /elements are <i8; they must be float32, float64 or float16/],
    ["s.npy", npy(floats, [2, 3]), /needs 24 bytes of float32, and the file has 16/],
    ["c.npy", good.subarray(0, 40), /cut off within its header/],
    ["t.npy", Buffer.from("not an array"), /no \.npy file/],
    ["v.npy", Buffer.concat([good.subarray(0, 6), Buffer.from([9, 0]), good.subarray(8)]), /Format 9/],
    ["p.png", Buffer.from("no image"), /neither an \.npy file nor an image/],
  ]) {
    await drop(page, ".tensor", name, bytes);
    await page.waitForFunction((words) => new RegExp(words).test(document.querySelector(".tensor > .error").textContent), words.source);
    assert.equal(await page.locator(".tensor > .error").first().isVisible(), true, name);
  }
  await call(page, "Normalize", () => drop(page, ".tensor", "g.npy", good));
  assert.equal(await page.locator(".tensor > .error").first().isVisible(), false);
}));

test("an image is dropped, or opened with a button", () => withPage({}, async (page) => {
  const image = png(2, 1, [[255, 0, 51], [0, 255, 102]]);
  await choose(page, "operation", "Dropout");
  await type(page, "dropout-p", "0");
  const { sent } = await call(page, "Dropout", () => drop(page, ".tensor", "a.png", image, "image/png"));
  assert.deepEqual(sent.input.shape, [1, 3, 1, 2]);
  const bytes = Buffer.from(sent.input.data, "base64");
  close(Array.from({ length: 6 }, (_, i) => bytes.readFloatLE(4 * i)), [1, 0, 0, 1, 0.2, 0.4]);
  assert.match(await chosen(page), /a\.png: 6 elements of float32/);
  await page.getByRole("button", { name: "Type numbers instead" }).click();
  const large = png(512, 2, Array(1024).fill([1, 2, 3]));
  const opened = await call(page, "Dropout", async () => {
    const chooser = page.waitForEvent("filechooser");
    await page.getByRole("button", { name: "Open a file…" }).focus();
    await page.keyboard.press("Enter");
    await (await chooser).setFiles({ name: "large.png", mimeType: "image/png", buffer: large });
  });
  assert.deepEqual(opened.sent.input.shape, [1, 3, 1, 256]);
  assert.match(await chosen(page), /scaled from 512 × 2 pixels to 256 × 1/);
}));

test("random numbers fill the shape", () => withPage({}, async (page) => {
  await type(page, "input-shape", "2, 3, 4");
  await choose(page, "normalize-kind", "INSTANCE");
  const { sent } = await call(page, "Normalize", () => page.getByRole("button", { name: "Random numbers" }).click());
  assert.equal(sent.input.floatData.length, 24);
  await type(page, "input-shape", "8, 64, 16, 16");
  const large = await call(page, "Normalize", () => page.getByRole("button", { name: "Random numbers" }).click());
  assert.equal(Buffer.from(large.sent.input.data, "base64").length, 4 * 8 * 64 * 256);
  await answered(page);
}));
