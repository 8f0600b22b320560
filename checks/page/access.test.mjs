// What holds for all of the page: its size, its origin, keys, names, contrast, widths, themes, and its pictures for the documents.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { test } from "node:test";

import { answered, choose, type, withPage } from "./harness.mjs";

/** The most bytes of all files together. */
const MOST_BYTES = 200 * 1024;
const OPERATIONS = ["Normalize", "Dropout", "ClipGradients"];

test("the page is small and loads nothing from elsewhere", () => withPage({}, async (page, requests) => {
  const files = requests.filter((request) => request.method() === "GET");
  const sizes = await Promise.all(files.map(async (request) => (await (await request.response()).body()).length));
  assert.ok(files.length >= 10, String(files.length));
  assert.ok(sizes.reduce((sum, size) => sum + size, 0) < MOST_BYTES);
  const [first] = await Promise.all(files.slice(0, 1).map((request) => request.response()));
  assert.match(first.headers()["content-security-policy"], /default-src 'self'/);
  // A script that is not a file of the server is not run; Chromium tells of that on the console.
  const ran = await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.ran = true";
    document.body.append(script);
    return window.ran === true;
  });
  assert.equal(ran, false);
}, /Content Security Policy/));

test("keys alone lead through every operation", () => withPage({}, async (page) => {
  const focused = () => page.evaluate(() => {
    const element = document.activeElement;
    const ring = element.matches(".segments input") ? element.nextElementSibling : element;
    const { outlineStyle, outlineWidth } = getComputedStyle(ring);
    const text = element.id || element.dataset.turn || element.value || element.textContent.trim().slice(0, 30);
    return { text, name: element.name ?? "", isVisible: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 };
  });
  const press = (key) => page.keyboard.press(key);
  /** Presses Tab until the focus is at `text`; every stop on the way must be seen. */
  const tabTo = async (text, key = "Tab") => {
    for (let stops = 0; stops < 60; stops += 1) {
      await press(key);
      const at = await focused();
      assert.ok(at.isVisible, `the focus is not seen at ${at.text}`);
      if (at.text === text) return;
    }
    assert.fail(`no key leads to ${text}`);
  };
  await press("Tab");
  assert.equal((await focused()).text, "Skip to the answer");
  await tabTo("normalize");
  await tabTo("NORM_KIND_BATCH");
  for (const kind of ["LAYER", "RMS", "INSTANCE", "GROUP"]) {
    await press("ArrowRight");
    assert.equal((await focused()).text, `NORM_KIND_${kind}`);
  }
  await answered(page);
  await tabTo("normalize-groups");
  await page.keyboard.press("ControlOrMeta+A");
  await page.keyboard.type("4");
  await answered(page);
  assert.equal(await page.locator("#cube").getAttribute("data-sets"), "16");
  await tabTo("live");
  await press("Space");
  await page.keyboard.press("Shift+Tab");
  assert.equal((await focused()).text, "send");
  await press("Enter");
  await answered(page);
  await tabTo("cube");
  await press("ArrowLeft");
  assert.equal(await page.locator("#cube").getAttribute("data-yaw"), "35.0");
  await tabTo("set");
  await press("ArrowRight");
  assert.equal(await page.locator("#set-name").textContent(), "N = 0, group 1 (C = 1)");
  await tabTo("tab-curl");
  await press("ArrowRight");
  assert.equal((await focused()).text, "tab-python");
  assert.match(await page.locator("#program").textContent(), /import grpc/);
  await press("End");
  assert.match(await page.locator("#program").textContent(), /^ghz/);
  await press("ArrowRight");
  assert.match(await page.locator("#program").textContent(), /^curl/);
  await tabTo("copy");
  await press("Enter");
  await page.waitForFunction(() => document.querySelector("#copy").textContent === "Copied");
  await tabTo("program");
  // Back to the operations: the next is chosen by an arrow.
  await page.locator("input[name=operation][value=normalize]").focus();
  await press("ArrowRight");
  assert.equal(await page.locator("[data-operation=Dropout]").isVisible(), true);
  await press("ArrowRight");
  assert.equal(await page.locator("[data-operation=ClipGradients]").isVisible(), true);
}));

test("every control has a name, and every picture", () => withPage({}, async (page) => {
  for (const operation of OPERATIONS) {
    await choose(page, "operation", operation);
    await answered(page);
    await page.locator("details").evaluateAll((all) => all.forEach((details) => { details.open = true; }));
    const nameless = await page.evaluate(() => [...document.querySelectorAll("input, select, textarea, button, [role=img], [tabindex='0']")]
      .filter((element) => element.checkVisibility() && !element.getAttribute("aria-label") && !element.getAttribute("aria-labelledby")
        && ![...(element.labels ?? [])].some((label) => label.textContent.trim()) && !element.textContent.trim())
      .map((element) => element.outerHTML.slice(0, 120)));
    assert.deepEqual(nameless, [], operation);
    const ids = await page.evaluate(() => [...document.querySelectorAll("[id]")].map(({ id }) => id));
    assert.equal(new Set(ids).size, ids.length, "an id is there twice");
    const broken = await page.evaluate(() => [...document.querySelectorAll("[aria-describedby], [aria-labelledby], [aria-controls], label[for]")]
      .flatMap((element) => ["aria-describedby", "aria-labelledby", "aria-controls", "for"].flatMap((name) => (element.getAttribute(name) ?? "").split(" ").filter(Boolean)))
      .filter((id) => document.getElementById(id) === null));
    assert.deepEqual(broken, [], operation);
  }
}));

/** The texts whose contrast with what is behind them is below 4.5 : 1. */
const faint = (page) => page.evaluate(() => {
  const parse = (text) => text.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((x) => x / 255).map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4))
    .reduce((sum, x, i) => sum + x * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const [r, g, b, a = 1] = parse(getComputedStyle(at).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
  return [...document.querySelectorAll("body *")].filter((element) => element.checkVisibility() && (hasText(element) || element.matches("input, textarea"))).flatMap((element) => {
    const style = getComputedStyle(element);
    const colours = [element.namespaceURI.endsWith("svg") ? style.fill : style.color];
    if (element.placeholder) colours.push(getComputedStyle(element, "::placeholder").color);
    return colours.flatMap((colour) => {
      const [a, b] = [light(parse(colour)), light(behind(element))].sort((x, y) => y - x);
      const contrast = (a + 0.05) / (b + 0.05);
      return contrast < 4.5 ? [`${contrast.toFixed(2)}: ${element.tagName} ${element.id} ${element.textContent.trim().slice(0, 30)}`] : [];
    });
  });
});

for (const colorScheme of ["light", "dark"]) {
  test(`texts can be read in the ${colorScheme} theme`, () => withPage({ colorScheme }, async (page) => {
    for (const operation of OPERATIONS) {
      await choose(page, "operation", operation);
      await answered(page);
      await page.locator("details").evaluateAll((all) => all.forEach((details) => { details.open = true; }));
      assert.deepEqual(await faint(page), [], operation);
    }
    await type(page, "clip-threshold", "-1");
    await page.waitForSelector("#status[data-state=failed]", { state: "attached" });
    assert.deepEqual(await faint(page), [], "with an error");
  }));
}

test("the theme is the system’s, or the chosen one", () => withPage({ colorScheme: "light" }, async (page) => {
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await background();
  await page.emulateMedia({ colorScheme: "dark" });
  const dark = await background();
  assert.notEqual(dark, light);
  await choose(page, "theme", "Light");
  assert.equal(await background(), light);
  await page.reload();
  await answered(page);
  assert.equal(await background(), light);
  assert.equal(await page.locator("input[name=theme][value=light]").isChecked(), true);
  await choose(page, "theme", "Dark");
  await page.emulateMedia({ colorScheme: "light" });
  assert.equal(await background(), dark);
  await choose(page, "theme", "Auto");
  assert.equal(await background(), light);
}));

for (const width of [390, 768, 1440]) {
  test(`nothing is wider than a window of ${width} pixels`, () => withPage({ viewport: { width, height: 900 } }, async (page) => {
    for (const operation of OPERATIONS) {
      await choose(page, "operation", operation);
      await answered(page);
      await page.locator("details").evaluateAll((all) => all.forEach((details) => { details.open = true; }));
      const wide = await page.evaluate(() => [...document.querySelectorAll("body *")]
        .filter((element) => element.checkVisibility() && !element.closest("pre, .scroll, .skip, .hidden") && element.getBoundingClientRect().right > innerWidth + 0.5)
        .map((element) => element.outerHTML.slice(0, 100)));
      assert.deepEqual(wide, [], operation);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width);
      // Texts of figures stay within them.
      const cut = await page.evaluate(() => [...document.querySelectorAll("svg text")].filter((text) => text.checkVisibility()).filter((text) => {
        const [inner, outer] = [text.getBoundingClientRect(), text.closest("svg").getBoundingClientRect()];
        return inner.left < outer.left - 1 || inner.right > outer.right + 1 || inner.bottom > outer.bottom + 2 || inner.top < outer.top - 2;
      }).map((text) => text.textContent));
      assert.deepEqual(cut, [], operation);
    }
  }));
}

const shots = process.env.EVENKEEL_SCREENSHOTS;
test("pictures for the documents", { skip: !shots && "EVENKEEL_SCREENSHOTS names no folder" }, async () => {
  await mkdir(shots, { recursive: true });
  const shot = (page, name) => page.screenshot({ path: `${shots}/${name}.png` });
  await withPage({ viewport: { width: 1240, height: 700 }, colorScheme: "light" }, async (page) => {
    await choose(page, "normalize-kind", "GROUP");
    await answered(page);
    await page.locator("#input-shape").blur();
    await shot(page, "normalize");
  });
  await withPage({ viewport: { width: 1240, height: 620 }, colorScheme: "dark" }, async (page) => {
    await choose(page, "operation", "ClipGradients");
    await answered(page);
    await page.locator("#tab-python").click();
    await shot(page, "clip");
  });
  await withPage({ viewport: { width: 390, height: 760 }, colorScheme: "light" }, async (page) => {
    await type(page, "input-shape", "16, 24");
    await page.getByRole("button", { name: "Random numbers" }).click();
    await choose(page, "operation", "Dropout");
    await answered(page);
    await page.locator("#answer").scrollIntoViewIfNeeded();
    await page.evaluate(() => document.querySelector("#answer").scrollIntoView());
    await shot(page, "dropout");
  });
});

