// A small server that speaks as much of Connect as the page needs, for work on the page without a build of the service: the
// files of the page, and answers that are computed here in float64.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";

const FOLDER = new URL("../../src/server/page/", import.meta.url);
const TYPES = { html: "text/html", css: "text/css", js: "text/javascript", svg: "image/svg+xml" };
const CSP = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

const product = (shape) => shape.map(Number).reduce((all, length) => all * length, 1);
const fromText = (x) => Number(x);

/** A refusal, as Connect's errors have it. */
class Refused extends Error {
  constructor(...violations) {
    super(violations.map(([field, words]) => `${field}: ${words}`).join("; "));
    const fieldViolations = violations.map(([field, description]) => ({ field, description }));
    this.body = { code: "invalid_argument", message: this.message, details: [{ type: "google.rpc.BadRequest", value: "", debug: { fieldViolations } }] };
  }
}

/** The elements of a tensor, and a function that makes the answer's tensor from others. */
function tensor(message, path) {
  const { name, dtype = "DATA_TYPE_FLOAT32", shape = [], floatData, data } = message ?? {};
  const bytes = data === undefined ? null : Buffer.from(data, "base64");
  const view = bytes && new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const double = dtype === "DATA_TYPE_FLOAT64";
  const size = double ? 8 : 4;
  const values = view
    ? Array.from({ length: bytes.length / size }, (_, i) => (double ? view.getFloat64(8 * i, true) : view.getFloat32(4 * i, true)))
    : (floatData ?? []).map(fromText);
  const given = bytes ? "data" : "float_data";
  if (values.length !== product(shape)) throw new Refused([`${path}.${given}`, `expected ${product(shape)} elements and got ${values.length}`]);
  const like = (others) => {
    const head = { ...(name ? { name } : {}), dtype, shape: shape.map(String) };
    if (!bytes) return { ...head, floatData: others.map((x) => (Number.isFinite(x) ? x : String(x))) };
    return { ...head, data: Buffer.from((double ? Float64Array : Float32Array).from(others).buffer).toString("base64") };
  };
  return { shape: shape.map(Number), values, like };
}

function normalize(request) {
  const { shape, values, like } = tensor(request.input, "input");
  const kind = (request.kind ?? "").replace("NORM_KIND_", "");
  const [rank, channels] = [shape.length, request.channelAxis ?? 1];
  const all = [...shape.keys()];
  const own = {
    BATCH: all.filter((axis) => axis !== channels), INSTANCE: all.filter((axis) => axis !== 0 && axis !== channels),
    GROUP: all.slice(1), L2: all.slice(0, 2).slice(-1),
  }[kind] ?? (rank <= 3 ? all.slice(-1) : all.slice(1));
  const axes = request.axes?.length ? request.axes.map((axis) => (axis < 0 ? axis + rank : axis)) : own;
  const groups = kind === "GROUP" ? request.groups ?? 0 : 0;
  if (kind === "GROUP" && (groups === 0 || shape[channels] % groups !== 0)) throw new Refused(["groups", `must divide the ${shape[channels]} channels`]);
  if (axes.some((axis) => axis < 0 || axis >= rank)) throw new Refused(["axes[0]", `is not an axis of a tensor of rank ${rank}`]);
  const strides = all.map((axis) => product(shape.slice(axis + 1)));
  const setOf = (i) => all.map((axis) => {
    const at = Math.floor(i / strides[axis]) % shape[axis];
    if (groups > 0 && axis === channels) return Math.floor(at / (shape[axis] / groups));
    return axes.includes(axis) ? "" : at;
  }).join();
  const sets = new Map();
  values.forEach((x, i) => sets.set(setOf(i), [...(sets.get(setOf(i)) ?? []), x]));
  const mean = (list) => list.reduce((sum, x) => sum + x, 0) / list.length;
  const isCentred = !["RMS", "L2"].includes(kind);
  const statistics = new Map([...sets].map(([key, list]) => {
    const centre = isCentred ? mean(list) : 0;
    const squares = list.map((x) => (x - centre) ** 2);
    const eps = request.eps ?? (kind === "L2" ? 1e-12 : 1e-5);
    const divisor = kind === "L2" ? Math.max(Math.sqrt(squares.reduce((sum, x) => sum + x, 0)), eps) : Math.sqrt(mean(squares) + eps);
    return [key, { centre, rstd: 1 / divisor }];
  }));
  const output = values.map((x, i) => (x - statistics.get(setOf(i)).centre) * statistics.get(setOf(i)).rstd);
  const listed = (of) => ({ dtype: "DATA_TYPE_FLOAT32", shape: [String(sets.size)], floatData: [...statistics.values()].map(of) });
  const returned = request.returnStatistics ? { ...(isCentred ? { mean: listed(({ centre }) => centre) } : {}), rstd: listed(({ rstd }) => rstd) } : {};
  return { axes: axes.sort((a, b) => a - b), ...returned, output: like(output) };
}

function dropout(request) {
  if (request.p === undefined) throw new Refused(["p", "is required"]);
  if (!(request.p >= 0 && request.p <= 1)) throw new Refused(["p", "is not in [0, 1]"]);
  const { shape, values, like } = tensor(request.input, "input");
  const isByChannel = /CHANNEL|FEATURE/.test(request.kind ?? "");
  const draws = isByChannel ? shape[0] * shape[1] : values.length;
  const seed = Number(request.seed ?? 0);
  const keep = Array.from({ length: draws }, (_, i) => (Math.imul(i + 1, 2654435761) ^ Math.imul(seed + 1, 40503 * 7919)) >>> 0).map((bits) => (Math.imul(bits ^ (bits >>> 15), 2246822519) >>> 0) / 2 ** 32 >= request.p);
  const inner = values.length / draws;
  const output = values.map((x, i) => (keep[Math.floor(i / inner)] ? x / (request.scaling === "DROPOUT_SCALING_NONE" ? 1 : 1 - request.p) : 0));
  const mask = Buffer.alloc(Math.ceil(draws / 8));
  keep.forEach((is, i) => { if (is) mask[i >> 3] |= 1 << (i & 7); });
  const kept = values.filter((_, i) => keep[Math.floor(i / inner)]).length;
  return { kept: String(kept), ...(request.returnMask ? { mask: mask.toString("base64") } : {}), output: like(output) };
}

function clip(request) {
  if (request.threshold === undefined) throw new Refused(["threshold", "is required"]);
  if (!(request.threshold >= 0)) throw new Refused(["threshold", "is negative"]);
  const gradients = (request.gradients ?? []).map((gradient, i) => tensor(gradient, `gradients[${i}]`));
  const order = fromText(request.normType ?? 2);
  const norm = (list) => (order === Infinity ? Math.max(0, ...list.map(Math.abs)) : list.reduce((sum, x) => sum + Math.abs(x) ** order, 0) ** (1 / order));
  const total = norm(gradients.flatMap(({ values }) => values));
  const factor = (its) => Math.min(1, request.threshold / (its + (request.epsilon ?? 1e-6)));
  const limit = request.threshold;
  const [isValue, isEach] = [request.mode === "CLIP_MODE_VALUE", request.mode === "CLIP_MODE_NORM_PER_TENSOR"];
  const clipped = gradients.map(({ values, like }) => {
    const scale = factor(isEach ? norm(values) : total);
    return like(values.map((x) => (isValue ? Math.max(-limit, Math.min(limit, x)) : x * scale)));
  });
  const outside = gradients.flatMap(({ values }) => values).filter((x) => Math.abs(x) > limit).length;
  const norms = gradients.map(({ values }) => norm(values));
  return {
    totalNorm: total, scale: isValue ? 1 : Math.min(...(isEach ? norms : [total]).map(factor)),
    ...(isValue ? { clippedElements: String(outside) } : {}), ...(isEach ? { tensorNorms: norms } : {}), gradients: clipped,
  };
}

const METHODS = {
  Normalize: normalize, Dropout: dropout, ClipGradients: clip,
  GetServerInfo: () => ({ version: "0.1.0", maxMessageBytes: "67108864" }),
};

/** Listens on a free port; returns its address and a function that ends it. */
export async function standIn() {
  const server = createServer(async (request, response) => {
    const path = new URL(request.url, "http://localhost").pathname;
    if (request.method !== "POST") {
      const name = path === "/" ? "index.html" : path.replace("/page/", "");
      const bytes = await readFile(new URL(name, FOLDER)).catch(() => null);
      if (bytes === null || (path !== "/" && !path.startsWith("/page/"))) return response.writeHead(405).end();
      return response.writeHead(200, { "content-type": TYPES[name.split(".").at(-1)], "content-security-policy": CSP }).end(bytes);
    }
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const send = (status, body) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    try {
      send(200, METHODS[path.split("/").at(-1)](JSON.parse(Buffer.concat(chunks))));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      send(400, error.body);
    }
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const end = () => new Promise((ended) => { server.close(ended); server.closeAllConnections(); });
  return { address: `127.0.0.1:${server.address().port}`, end };
}

// `node standin.mjs` alone: for a browser.
if (process.argv[1] === new URL(import.meta.url).pathname) console.log(`http://${(await standIn()).address}/`);
