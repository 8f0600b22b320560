// Normalization: every kind, the cube, and errors beside their fields.

import assert from "node:assert/strict";
import { test } from "node:test";

import { answered, call, choose, close, data, refused, table, type, withPage } from "./harness.mjs";

test("each kind pools its sets, as the answer says", () => withPage({}, async (page) => {
  for (const [kind, axes, sets, elements] of [
    ["LAYER", "1,2,3", 4, 16], ["RMS", "1,2,3", 4, 16], ["INSTANCE", "2,3", 16, 4], ["GROUP", "1,2,3", 8, 8], ["L2", "1", 16, 4], ["BATCH", "0,2,3", 4, 16],
  ]) {
    const { sent, answer } = await call(page, "Normalize", () => choose(page, "normalize-kind", kind));
    assert.equal(sent.kind, `NORM_KIND_${kind}`);
    assert.equal(answer.axes.join(), axes, kind);
    const cube = await data(page, "#cube");
    assert.deepEqual([cube.axes, cube.sets, cube.elements], [axes, String(sets), String(elements)], kind);
    // All of the default shape is drawn, so the set in colour has all its cells.
    assert.equal(cube.cells, String(elements), kind);
    assert.ok(await page.locator("#cube .in-set").count() > 0, kind);
    assert.match(await page.locator("#facts").textContent(), new RegExp(`axes pooled\\[${axes.replaceAll(",", ", ")}\\]`));
    assert.equal(await page.locator("#normalize-groups").isVisible(), kind === "GROUP");
    assert.equal(await page.locator("#normalize-channel_axis").isVisible(), ["BATCH", "INSTANCE", "GROUP"].includes(kind));
    assert.equal(await page.locator(`.formula[data-kinds~=${kind}]`).isVisible(), true);
  }
}));

test("the answer is the server’s", () => withPage({}, async (page) => {
  await choose(page, "normalize-kind", "LAYER");
  await type(page, "input-shape", "1, 4");
  const { answer } = await call(page, "Normalize", () => type(page, "input-values", "40000, 40001, 40002, 40003"));
  close(answer.output.floatData, [-1.3416355, -0.4472118, 0.4472118, 1.3416355]);
  await page.locator("summary", { hasText: "Numbers" }).click();
  const { before, after } = await table(page);
  assert.deepEqual(before, [40000, 40001, 40002, 40003]);
  close(after, [-1.34164, -0.447212, 0.447212, 1.34164]);
  const [first, last] = [await data(page, "#before"), await data(page, "#after")];
  const sum = ({ counts }) => counts.split(",").reduce((all, count) => all + Number(count), 0);
  assert.deepEqual([sum(first), sum(last)], [4, 4]);
  assert.deepEqual([Number(first.min), Number(first.max), Number(first.mean)], [40000, 40003, 40001.5]);
  close([Number(last.mean), Number(last.std)], [0, 1]);
}));

test("the set follows shape, axes, groups and the chooser", () => withPage({}, async (page) => {
  const cube = async () => {
    const { axes, sets, elements, cells } = await data(page, "#cube");
    return `${axes} | ${sets} x ${elements} | ${cells}`;
  };
  await type(page, "input-shape", "2, 6, 1, 2");
  assert.equal(await cube(), "0,2,3 | 6 x 4 | 4");
  await choose(page, "normalize-kind", "GROUP");
  await type(page, "normalize-groups", "3");
  assert.equal(await cube(), "1,2,3 | 6 x 4 | 4");
  assert.equal(await page.locator("#set-name").textContent(), "N = 0, group 0 (C = 0 to 1)");
  await page.locator("#set").fill("4");
  assert.equal(await page.locator("#set-name").textContent(), "N = 1, group 1 (C = 2 to 3)");
  await type(page, "normalize-axes", "3");
  assert.equal(await cube(), "1,3 | 6 x 4 | 4");
  await choose(page, "normalize-kind", "LAYER");
  await type(page, "normalize-axes", "-1, 1");
  assert.equal(await cube(), "1,3 | 2 x 12 | 12");
  // A long axis is drawn in part, and the page says so.
  await type(page, "normalize-axes", "");
  await type(page, "input-shape", "32, 64, 14, 14");
  assert.equal(await cube(), `1,2,3 | 32 x 12544 | ${8 * 16}`);
  assert.match(await page.locator("#set-counts").textContent(), /shows some indices/);
  await type(page, "input-shape", "3, 0");
  assert.match(await page.locator("#set-definition").textContent(), /no elements/);
  // Statistics over space differ from row to row: only the cells of one row are in the set.
  await type(page, "input-shape", "1, 1, 2, 2");
  await type(page, "normalize-axes", "3");
  assert.equal(await cube(), "3 | 2 x 2 | 2");
  assert.match(await page.locator("#set-definition").textContent(), /kN = iN, kC = iC, kH = iH/);
}));

test("the cube turns by mouse, keys and buttons", () => withPage({}, async (page) => {
  const angles = async () => {
    const { yaw, pitch } = await data(page, "#cube");
    return [Number(yaw), Number(pitch)];
  };
  const picture = () => page.locator("#cube").innerHTML();
  assert.deepEqual(await angles(), [45, 28]);
  const first = await picture();
  const box = await page.locator("#cube").boundingBox();
  await page.mouse.move(box.x + 100, box.y + 100);
  await page.mouse.down();
  await page.mouse.move(box.x + 140, box.y + 120, { steps: 4 });
  await page.mouse.up();
  assert.deepEqual(await angles(), [65, 38]);
  assert.notEqual(await picture(), first);
  await page.mouse.move(box.x + 10, box.y + 10);
  assert.deepEqual(await angles(), [65, 38], "the button is up");
  await page.locator("#cube").focus();
  for (const [key, expected] of [["ArrowRight", [75, 38]], ["ArrowUp", [75, 48]], ["ArrowLeft", [65, 48]], ["ArrowDown", [65, 38]], ["Home", [45, 28]]]) {
    await page.keyboard.press(key);
    assert.deepEqual(await angles(), expected, key);
  }
  assert.equal(await picture(), first);
  for (const [name, expected] of [["Turn left", [35, 28]], ["Turn right", [45, 28]], ["Turn up", [45, 38]], ["Turn down", [45, 28]]]) {
    await page.getByRole("button", { name }).click();
    assert.deepEqual(await angles(), expected, name);
  }
}));

test("an error is shown beside the field that it names", () => withPage({}, async (page) => {
  await choose(page, "normalize-kind", "GROUP");
  await type(page, "normalize-groups", "3");
  await refused(page);
  const beside = (id) => page.locator(`#${id}-error`);
  assert.match(await beside("normalize-groups").textContent(), /^groups: /);
  assert.equal(await page.locator("#normalize-groups").getAttribute("aria-invalid"), "true");
  assert.match(await page.locator("#normalize-groups").getAttribute("aria-describedby"), /normalize-groups-error/);
  assert.match(await page.locator("#problem").textContent(), /invalid_argument/);
  assert.equal(await page.locator("#after").isVisible(), false);
  await type(page, "normalize-groups", "4");
  await answered(page);
  assert.equal(await beside("normalize-groups").isVisible(), false);
  assert.equal(await page.locator("#normalize-groups").getAttribute("aria-invalid"), null);
  assert.equal(await page.locator("#problem").isVisible(), false);
  // An element of a list is shown at the list, and what the page cannot read is not sent.
  await type(page, "normalize-axes", "9");
  await refused(page);
  assert.match(await beside("normalize-axes").textContent(), /^axes\[0\]: /);
  await type(page, "normalize-axes", "");
  await type(page, "input-values", "1, 2, three");
  await refused(page);
  assert.match(await beside("input-values").textContent(), /“three” is not a number/);
  assert.match(await page.locator("#problem").textContent(), /^not sent/);
  await type(page, "input-values", "1, 2, 3");
  await refused(page);
  assert.match(await page.locator("[data-field^=input] .error:visible").first().textContent(), /^input/);
}));

test("all parameters are sent as the contract has them", () => withPage({}, async (page) => {
  await page.locator("summary", { hasText: "More parameters" }).first().click();
  await type(page, "normalize-weight", "1 2 3 4");
  await type(page, "normalize-bias", "0.5, 0.5, 0.5, 0.5");
  await type(page, "normalize-running_mean", "0 0 0 0");
  await type(page, "normalize-running_var", "1 1 1 1");
  await page.locator("#normalize-training").selectOption("true");
  await type(page, "normalize-momentum", "0.5");
  await type(page, "normalize-eps", "1e-3");
  const { sent } = await call(page, "Normalize", () => type(page, "normalize-channel_axis", "-3"));
  const vector = (floatData) => ({ shape: [4], floatData });
  assert.deepEqual({ ...sent, input: undefined }, {
    kind: "NORM_KIND_BATCH", eps: 1e-3, channelAxis: -3, returnStatistics: true, training: true, momentum: 0.5, input: undefined,
    weight: vector([1, 2, 3, 4]), bias: vector([0.5, 0.5, 0.5, 0.5]), runningMean: vector([0, 0, 0, 0]), runningVar: vector([1, 1, 1, 1]),
  });
  // A weight of LAYER has the shape of the pooled axes.
  await choose(page, "normalize-kind", "LAYER");
  await type(page, "normalize-bias", "");
  const layer = await call(page, "Normalize", () => type(page, "normalize-weight", Array(16).fill(2).join(" ")));
  assert.deepEqual(layer.sent.weight.shape, [4, 2, 2]);
  assert.equal("momentum" in layer.sent || "channelAxis" in layer.sent, false);
}));
