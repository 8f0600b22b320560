// The programs that make the same call.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { promisify } from "node:util";

import { answered, call, choose, npy, type, url, withPage } from "./harness.mjs";

const run = promisify(execFile);
const LANGUAGES = ["curl", "python", "go", "typescript", "java", "cpp", "rust", "ghz"];

/** The program in a language. */
async function program(page, language) {
  await page.locator(`#tab-${language}`).click();
  return page.locator("#program").textContent();
}

test("curl gets the answer of the page", () => withPage({}, async (page) => {
  for (const operation of ["Normalize", "Dropout", "ClipGradients"]) {
    const method = operation;
    await choose(page, "operation", operation);
    await answered(page);
    if (operation === "ClipGradients") await type(page, "gradients-0-name", "layer's \"weight\"");
    const { answer } = await call(page, method, () => page.locator("#send").click());
    const { stdout } = await run("bash", ["-c", `${await program(page, "curl")} --silent --show-error`]);
    assert.deepEqual(JSON.parse(stdout), answer, operation);
  }
}));

test("a large request is read from a file", () => withPage({}, async (page) => {
  const folder = await mkdtemp(`${tmpdir()}/evenkeel-page-`);
  try {
    await page.locator(".tensor input[type=file]").first().setInputFiles({ name: "x.npy", mimeType: "", buffer: npy(new Float32Array(240).map((_, i) => i), [2, 4, 30]) });
    const { answer } = await call(page, "Normalize", () => choose(page, "normalize-kind", "INSTANCE"));
    const text = await program(page, "curl");
    assert.match(text, /-d @request\.json/);
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "Save request.json" }).click();
    await (await download).saveAs(`${folder}/request.json`);
    const { stdout } = await run("bash", ["-c", `${text} --silent --show-error`], { cwd: folder });
    assert.deepEqual(JSON.parse(stdout), answer);
    for (const language of LANGUAGES) {
      assert.match(await program(page, language), language === "rust" ? /std::fs::read\("input\.bin"\)/ : /request\.json/, language);
      assert.equal(await page.locator("#files button").textContent(), language === "rust" ? "Save input.bin" : "Save request.json");
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}));

/** What each program must have of a call of a group normalization with these arguments, by language. */
const GROUP = {
  python: [/pb\.NormalizeRequest\(/, /kind=pb\.NORM_KIND_GROUP/, /groups=2/, /eps=0\.001/, /axes=\[2, 3\]/, /channel_axis=1/, /"<f4"/, /insecure_channel\("HOST"\)/],
  go: [/pb\.NormKind_NORM_KIND_GROUP/, /Groups: 2/, /Eps: proto\.Float64\(0\.001\)/, /Axes: \[\]int32\{2, 3\}/, /ChannelAxis: proto\.Int32\(1\)/, /NewClient\("HOST"/],
  typescript: [/client\.normalize\(\{/, /NormKind\.GROUP/, /groups: 2/, /eps: 0\.001/, /axes: \[2, 3\]/, /channelAxis: 1/, /shape: \[4n, 4n, 2n, 2n\]/, /baseUrl: "http:\/\/HOST"/],
  java: [/setKind\(NormKind\.NORM_KIND_GROUP\)/, /setGroups\(2\)/, /setEps\(0\.001\)/, /addAllAxes\(List\.of\(2, 3\)\)/, /setChannelAxis\(1\)/, /newChannelBuilder\("HOST"/],
  cpp: [/set_kind\(ek::NORM_KIND_GROUP\)/, /set_groups\(2\)/, /set_eps\(0\.001\)/, /add_axes\(2\)/, /set_channel_axis\(1\)/, /CreateChannel\("HOST"/],
  rust: [/\.kind\(NormKind::Group\)/, /\.groups\(2\)/, /\.eps\(0\.001\)/, /\.axes\(\[2, 3\]\)/, /\.channel_axis\(1\)/, /IxDyn\(&\[4, 4, 2, 2\]\)/, /Client::connect\("http:\/\/HOST"\)/],
  ghz: [/--call evenkeel\.v1\.TensorOpsService\/Normalize/, /"kind": "NORM_KIND_GROUP"/, /"groups": 2/, / HOST$/],
  curl: [/"groups": 2/, /"axes": \[2, 3\]/, /http:\/\/HOST\/evenkeel\.v1\.TensorOpsService\/Normalize$/],
};

test("every program has every argument", () => withPage({}, async (page) => {
  await choose(page, "normalize-kind", "GROUP");
  await type(page, "normalize-eps", "1e-3");
  await type(page, "normalize-axes", "2, 3");
  await type(page, "normalize-channel_axis", "1");
  await answered(page);
  for (const language of LANGUAGES) {
    const text = await program(page, language);
    for (const part of GROUP[language]) {
      const expected = new RegExp(part.source.replace("HOST", new URL(url()).host.replaceAll(".", "\\.")));
      assert.match(text, expected, language);
    }
  }
}));

test("a program is copied", () => withPage({}, async (page) => {
  const text = await program(page, "go");
  await page.locator("#copy").click();
  await page.waitForFunction(() => document.querySelector("#copy").textContent === "Copied");
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), text);
}));

test("no program has the token", () => withPage({}, async (page) => {
  await page.locator("summary", { hasText: "Token" }).click();
  await type(page, "token", "s3cret");
  for (const language of LANGUAGES) {
    const text = await program(page, language);
    assert.match(text, /TOKEN/, language);
    assert.doesNotMatch(text, /s3cret/, language);
  }
}));

/** Writes programs of many calls to a folder, for compilers. */
test("programs for compilers", { skip: !process.env.EVENKEEL_PROGRAMS && "EVENKEEL_PROGRAMS names no folder" }, () => withPage({}, async (page) => {
  const write = async (name) => {
    for (const language of LANGUAGES) {
      const folder = `${process.env.EVENKEEL_PROGRAMS}/${language}`;
      await mkdir(folder, { recursive: true });
      await writeFile(`${folder}/${name}`, `${await program(page, language)}\n`);
    }
  };
  await write("batch");
  await page.locator("summary", { hasText: "More parameters" }).first().click();
  await type(page, "normalize-weight", "1 2 3 4");
  await type(page, "normalize-running_mean", "0 0 0 0");
  await type(page, "normalize-running_var", "1 1 1 inf");
  await page.locator("#normalize-training").selectOption("true");
  await type(page, "normalize-momentum", "0.5");
  await write("running");
  await choose(page, "normalize-kind", "LAYER");
  await type(page, "normalize-weight", "");
  await type(page, "input-shape", "2, 3");
  await type(page, "input-values", "1, -2.5, nan, inf, -inf, -0");
  await type(page, "normalize-axes", "-1");
  for (const dtype of ["float32", "float64", "float16", "bfloat16"]) {
    await page.locator("#input-dtype").selectOption(dtype);
    await write(`layer-${dtype}`);
  }
  await choose(page, "operation", "Dropout");
  await page.locator("#input-dtype").selectOption("float32");
  await choose(page, "dropout-kind", "FEATURE_ALPHA");
  await type(page, "dropout-seed", "18446744073709551615");
  await type(page, "dropout-offset", "7");
  await type(page, "dropout-channel_axis", "1");
  await write("dropout");
  await page.locator(".tensor input[type=file]").first().setInputFiles({ name: "x.npy", mimeType: "", buffer: npy(new Float32Array(240), [2, 4, 30]) });
  await page.waitForSelector("#files:not([hidden])");
  await write("dropout-large");
  await choose(page, "operation", "ClipGradients");
  await write("clip");
  await choose(page, "clip-mode", "NORM_PER_TENSOR");
  await type(page, "clip-norm_type", "inf");
  await type(page, "clip-epsilon", "0");
  await page.locator("#gradients-1-dtype").selectOption("float64");
  await page.locator("summary", { hasText: "More parameters" }).last().click();
  await page.locator("#clip-not_above").check();
  await write("clip-each");
  await choose(page, "clip-mode", "VALUE");
  await page.locator("#gradients .tensor input[type=file]").first().setInputFiles({ name: "g.npy", mimeType: "", buffer: npy(new Float64Array(200), [200]) });
  await page.waitForSelector("#files:not([hidden])");
  await write("clip-large");
  await page.locator("summary", { hasText: "Token" }).click();
  await type(page, "token", "x");
  await write("clip-token");
}));
