/**
 * The web build in Chromium, on a page of another origin than the server's. CHROMIUM names the program (default:
 * /usr/bin/chromium); EVENKEEL_NO_BROWSER leaves these tests out.
 */

import assert from "node:assert/strict";
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, suite, test } from "node:test";

import { build } from "esbuild";
import { chromium, type Browser, type Page } from "playwright-core";

import { startServer, type Server } from "@evenkeel/client/testing";

import type * as Web from "../src/web.js";

/** What the page has as a variable. */
declare const evenkeel: typeof Web;

async function pages(script: Uint8Array): Promise<HttpServer> {
  const server = createServer((request, response) => {
    const isScript = request.url === "/evenkeel.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? script : '<!doctype html><script src="/evenkeel.js"></script>');
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return server;
}

suite("in Chromium", { skip: process.env["EVENKEEL_NO_BROWSER"] !== undefined }, () => {
  let browser: Browser;
  let site: HttpServer;
  let server: Server;
  let page: Page;

  before(async () => {
    const bundle = await build({
      entryPoints: [new URL("../../dist/web.js", import.meta.url).pathname],
      bundle: true,
      write: false,
      minify: true,
      format: "iife",
      globalName: "evenkeel",
      platform: "browser",
    });
    const script = bundle.outputFiles[0]?.contents ?? new Uint8Array();
    site = await pages(script);
    const origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
    server = await startServer({ args: ["--grpc-web", "--cors-origin", origin] });
    // The user of a container may be root, whom Chromium's sandbox refuses.
    browser = await chromium.launch({
      executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
      args: ["--no-sandbox"],
    });
    page = await browser.newPage();
    await page.goto(origin);
  });

  after(async () => {
    await browser.close();
    site.close();
    await server.stop();
  });

  test("the first call of examples/", async () => {
    const bundle = await build({
      entryPoints: [new URL("../../examples/first_call_browser.mjs", import.meta.url).pathname],
      alias: { "@evenkeel/client/web": new URL("../../dist/web.js", import.meta.url).pathname },
      bundle: true,
      write: false,
      format: "esm",
      platform: "browser",
    });
    const first = await browser.newPage();
    await first.goto(page.url());
    await first.evaluate((address) => {
      document.body.dataset["server"] = address;
    }, `http://${server.address}`);
    await first.addScriptTag({ type: "module", content: bundle.outputFiles[0]?.text ?? "" });
    const printed = await first.waitForFunction(() => document.body.innerText);
    const numbers = [-1.3416355, -0.4472118, 0.4472118, 1.3416355].map(Math.fround);
    assert.equal(await printed.jsonValue(), numbers.join(" "));
    await first.close();
  });

  for (const protocol of ["connect", "grpc-web"] as const) {
    test(`all calls by ${protocol}`, async () => {
      const result = await page.evaluate(
        async ({ address, protocol }) => {
          const { Client, tensor, keepMask, unpackMask } = evenkeel;
          const client = new Client(address, { protocol });
          const { output } = await client.layerNorm(tensor([[40000, 40001, 40002, 40003]]));
          const ones = tensor(new Float32Array(16).fill(1), [2, 8]);
          const { kept, mask } = await client.dropout(ones, { p: 0.3, seed: 42n, returnMask: true });
          const gradients = { w: new Float32Array([3, 0]), b: new Float64Array([0, 4]) };
          const clipped = await client.clipGradNorm(gradients, 1);
          const here = await client.measureGradients([gradients.w]);
          const there = await client.measureGradients([gradients.b, new Float32Array(1 << 20)]);
          const statistics = await client.measureStatistics(
            tensor([
              [1, 2],
              [3, 4],
            ]),
            { kind: "batch" },
          );
          const large = await client.layerNorm(tensor(new Float32Array(1 << 20), [1024, 1024]));
          const back = await client.normalizeBackward(tensor([[1, 2]]), tensor([[1, 1]]), { kind: "rms" });
          return {
            version: (await client.serverInfo()).version,
            output: [...output.data],
            kept: String(kept),
            mask: [...unpackMask(mask ?? new Uint8Array(), 16)],
            keep: [...keepMask(16, { p: 0.3, seed: 42n })],
            norm: clipped.totalNorm,
            merged: here.merge(there).totalNorm,
            sets: String(statistics.elements),
            large: large.output.data.length,
            back: back.gradInput.shape,
          };
        },
        { address: `http://${server.address}`, protocol },
      );
      assert.match(result.version, /^\d+\.\d+\.\d+/);
      assert.deepEqual(result.output, [-1.3416355, -0.4472118, 0.4472118, 1.3416355].map(Math.fround));
      assert.equal(result.kept, "11");
      assert.deepEqual(result.mask, result.keep);
      assert.deepEqual([result.norm, result.merged, result.sets], [5, 5, "2"]);
      assert.deepEqual([result.large, result.back], [1 << 20, [1, 2]]);
    });

    test(`errors by ${protocol}`, async () => {
      const errors = await page.evaluate(
        async ({ address, protocol }) => {
          const { Client, EvenkeelError, InvalidArgumentError, NonfiniteNormError, tensor } = evenkeel;
          const client = new Client(address, { protocol });
          const elsewhere = new Client("http://127.0.0.1:9", { protocol, retries: 0 });
          const controller = new AbortController();
          const large = tensor(new Float32Array(4 << 20), [4096, 1024]);
          const calls: (() => Promise<unknown>)[] = [
            () => client.dropout(tensor([1]), { p: 2 }),
            () => client.clipGradNorm({ bad: tensor([NaN]) }, 1, { errorIfNonfinite: true }),
            () => client.layerNorm(tensor(new Float32Array(17 << 20), [17, 1 << 20])),
            () => client.layerNorm(large, { timeoutMs: 1 }),
            () => {
              setTimeout(() => {
                controller.abort();
              }, 10);
              return client.layerNorm(large, { signal: controller.signal });
            },
            () => elsewhere.serverInfo(),
          ];
          const told: [string, unknown][] = [];
          for (const call of calls) {
            const error: unknown = await call().then(
              () => "no error",
              (reason: unknown) => reason,
            );
            const details =
              error instanceof InvalidArgumentError
                ? error.fields.map(({ path }) => path)
                : error instanceof NonfiniteNormError
                  ? error.gradients.map(({ name }) => name)
                  : null;
            told.push([error instanceof EvenkeelError ? error.name : String(error), details]);
          }
          return told;
        },
        { address: `http://${server.address}`, protocol },
      );
      assert.deepEqual(errors, [
        ["InvalidArgumentError", ["p"]],
        ["NonfiniteNormError", ["bad"]],
        ["MessageTooLargeError", null],
        ["DeadlineExceededError", null],
        ["CancelledError", null],
        ["UnavailableError", null],
      ]);
    });
  }
});
