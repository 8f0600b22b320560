// A browser, and the page in it: of the server at EVENKEEL_PAGE (HOST:PORT), or of the stand-in.

import assert from "node:assert/strict";
import { after, before } from "node:test";

import { chromium } from "playwright-core";

import { standIn } from "./standin.mjs";

/** Whether the answers are those of the service itself. */
export const isReal = process.env.EVENKEEL_PAGE !== undefined;

let browser;
let server;

before(async () => {
  server = isReal ? { address: process.env.EVENKEEL_PAGE, end: async () => {} } : await standIn();
  // The container's user may be root, whom Chromium's sandbox refuses.
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
});

after(async () => {
  await browser.close();
  await server.end();
});

/** The address of the page. */
export const url = () => `http://${server.address}/`;

/**
 * Opens the page, runs `check` with it, and fails if the page has written an error that is not `expected`, or asked another
 * server for something.
 */
export async function withPage(options, check, expected = /^$/) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, permissions: ["clipboard-read", "clipboard-write"], ...options });
  const page = await context.newPage();
  const [errors, elsewhere, requests] = [[], [], []];
  page.on("pageerror", (error) => errors.push(error.stack));
  page.on("console", (message) => {
    // Chromium itself writes a line for each answer of HTTP's 400.
    if (message.type() === "error" && !/Failed to load resource/.test(message.text())) errors.push(message.text());
  });
  page.on("request", (request) => {
    requests.push(request);
    if (!request.url().startsWith(url()) && !request.url().startsWith("blob:")) elsewhere.push(request.url());
  });
  try {
    await page.goto(url());
    await answered(page);
    await check(page, requests);
    assert.deepEqual(errors.filter((error) => !expected.test(error)), [], "errors in the page");
    assert.deepEqual(elsewhere, [], "requests that leave the origin");
  } finally {
    await context.close();
  }
}

/** Waits until the request that is shown has its answer. */
export async function answered(page) {
  await page.waitForSelector("#status[data-state=ok]", { state: "attached" });
}

/** Waits until the request that is shown is refused. */
export async function refused(page) {
  await page.waitForSelector("#status[data-state=failed]", { state: "attached" });
}

/** Does something that leads to a call, and returns the message that was sent, and the answer. */
export async function call(page, method, act) {
  const requests = [];
  const listen = (request) => { if (request.url().endsWith(`/${method}`)) requests.push(request); };
  page.on("request", listen);
  const begun = page.waitForRequest((request) => request.url().endsWith(`/${method}`));
  await act();
  await begun;
  await page.waitForSelector("#status:not([data-state=waiting])", { state: "attached" });
  page.off("request", listen);
  // Earlier changes may have led to requests, too. A clipping is followed by the one in the other mode.
  const request = requests.at(method === "ClipGradients" ? -2 : -1);
  return { sent: request.postDataJSON(), answer: await (await request.response()).json() };
}

/** Chooses a radio button by its text. */
export const choose = (page, group, text) =>
  page.locator(`input[name="${group}"]`).locator("xpath=..").filter({ hasText: new RegExp(`^${text}$`) }).click();

/** Writes a text into a field. */
export const type = (page, id, text) => page.locator(`#${id}`).fill(text);

/** The data attributes of an element. */
export const data = (page, selector) => page.locator(selector).evaluate((element) => ({ ...element.dataset }));

/** The numbers of the table, before and after. */
export async function table(page) {
  const rows = await page.locator("#rows tr").evaluateAll((rows) => rows.map((row) => [...row.querySelectorAll("td")].map((cell) => cell.textContent)));
  const number = (text) => Number(text.replace("−", "-").replace("∞", "Infinity"));
  return { before: rows.map(([text]) => number(text)), after: rows.map(([, text]) => number(text)) };
}

/** Fails if numbers differ by more than what six digits leave. */
export function close(actual, expected, words = "") {
  assert.equal(actual.length, expected.length, words);
  actual.forEach((x, i) => assert.ok(Math.abs(x - expected[i]) <= 2e-5 * Math.max(1, Math.abs(expected[i])), `${words} ${i}: ${x}, not ${expected[i]}`));
}

/** An .npy file with these elements. */
export function npy(array, shape, { descr, order = "False", version = 1 } = {}) {
  const types = { Float32Array: "<f4", Float64Array: "<f8", Uint16Array: "<f2" };
  const dims = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const header = `{'descr': '${descr ?? types[array.constructor.name]}', 'fortran_order': ${order}, 'shape': (${dims}), }`;
  const padded = `${header.padEnd(117 - (version === 1 ? 0 : 2))}\n`;
  const length = Buffer.alloc(version === 1 ? 2 : 4);
  length.writeUIntLE(padded.length, 0, length.length);
  return Buffer.concat([Buffer.from([0x93]), Buffer.from("NUMPY"), Buffer.from([version, 0]), length, Buffer.from(padded), Buffer.from(array.buffer)]);
}
