/** The adapter of conformance/README.md: reads a request per line, and answers each with a line. */

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

import {
  Client,
  EvenkeelError,
  InvalidArgumentError,
  NonfiniteNormError,
  OverloadedError,
  keepMask,
  NormPartial,
  StatisticsPartial,
  Tensor,
  type CallOptions,
  type ClientOptions,
  type NormalizeOptions,
} from "@evenkeel/client";

import {
  fromBase64,
  numberToJson,
  tensorToJson,
  toBase64,
  toNumber,
  toTensor,
  Unsupported,
  type TensorJson,
} from "./values.js";

type Args = Record<string, any>;

interface Request {
  readonly id: number;
  readonly op: string;
  readonly client?: { readonly address: string } & Readonly<Record<string, any>>;
  readonly timeout_ms?: number;
  readonly cancel_after_ms?: number;
  readonly digest?: boolean;
  readonly args?: Args;
}

interface Kept {
  readonly client: Client;
  hasWarned: boolean;
}

const clients = new Map<string, Kept>();

function clientOf(settings: NonNullable<Request["client"]>): Kept {
  const key = JSON.stringify(settings);
  const known = clients.get(key);
  if (known !== undefined) return known;
  const pem = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : readFileSync(path, "utf8");
  const options: ClientOptions = {
    token: settings["token"],
    connections: settings["connections"],
    tls:
      settings["ca"] === undefined
        ? undefined
        : {
            ca: pem(settings["ca"]),
            cert: pem(settings["cert"]),
            key: pem(settings["key"]),
            serverName: settings["server_name"],
          },
    onWarning: () => {
      kept.hasWarned = true;
    },
  };
  const kept: Kept = { client: new Client(settings.address, options), hasWarned: false };
  clients.set(key, kept);
  return kept;
}

const camel = (name: string): string => name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());

/** Arguments as the client's options: the same names, in the case of the language. */
function optionsOf(args: Args, call: CallOptions, without: readonly string[]): any {
  const convert: Record<string, (value: any) => unknown> = {
    weight: toTensor,
    bias: toTensor,
    running_mean: toTensor,
    running_var: toTensor,
    grad_output: toTensor,
    statistics: (value: string) => StatisticsPartial.fromBytes(fromBase64(value)),
    seed: BigInt,
    offset: BigInt,
    eps: toNumber,
    momentum: toNumber,
    p: toNumber,
    norm_type: toNumber,
    total_norm: toNumber,
    epsilon: toNumber,
  };
  const entries = Object.entries(args).filter(([name]) => !without.includes(name));
  return {
    ...call,
    ...Object.fromEntries(
      entries.map(([name, value]) => [camel(name), (convert[name] ?? ((same: unknown) => same))(value)]),
    ),
  };
}

function fail(): never {
  throw new RangeError("the request has too few items");
}

/** The gradients: by their names if all have one of their own. */
function gradientsOf(list: readonly TensorJson[]): Map<string, Tensor> | Tensor[] {
  const names = new Set(list.map(({ name }) => name));
  const tensors = list.map(toTensor);
  if (names.has(undefined) || names.size < list.length) return tensors;
  return new Map(list.map(({ name = "" }, index): [string, Tensor] => [name, tensors[index] ?? fail()]));
}

async function clip(client: Client, args: Args, call: CallOptions): Promise<object> {
  const gradients = gradientsOf(args["gradients"]);
  const threshold = toNumber(args["threshold"]);
  const options = optionsOf(args, call, ["gradients", "mode", "threshold"]);
  const clipped =
    args["mode"] === "value"
      ? await client.clipGradValue(gradients, threshold, options)
      : await client.clipGradNorm(gradients, threshold, {
          ...options,
          ...(args["mode"] === "norm" ? {} : { perTensor: true }),
        });
  const entries: [string | undefined, Tensor][] =
    clipped.gradients instanceof Map ? [...clipped.gradients] : clipped.gradients.map((tensor) => [undefined, tensor]);
  const norms = clipped.tensorNorms;
  return {
    gradients: entries.map(([name, tensor]) => ({ name, tensor })),
    total_norm: numberToJson(clipped.totalNorm),
    scale: numberToJson(clipped.scale),
    clipped_elements: String(clipped.clippedElements),
    ...(norms === undefined ? {} : { tensor_norms: [...norms.values()].map(numberToJson) }),
  };
}

async function remote(
  { op, args = {}, client: settings = { address: "" } }: Request,
  call: CallOptions,
): Promise<object> {
  const kept = clientOf(settings);
  const { client } = kept;
  switch (op) {
    case "normalize": {
      const { output, axes, mean, rstd, runningMean, runningVar } = await client.normalize(
        toTensor(args["input"]),
        optionsOf(args, call, ["input"]) as NormalizeOptions,
      );
      return { output, axes, mean, rstd, running_mean: runningMean, running_var: runningVar };
    }
    case "normalize_backward": {
      const [input, gradOutput] = [toTensor(args["input"]), toTensor(args["grad_output"])];
      const gradients = await client.normalizeBackward(
        input,
        gradOutput,
        optionsOf(args, call, ["input", "grad_output"]),
      );
      return {
        grad_input: gradients.gradInput,
        grad_weight: gradients.gradWeight,
        grad_bias: gradients.gradBias,
      };
    }
    case "dropout": {
      const {
        output,
        kept: count,
        mask,
      } = await client.dropout(toTensor(args["input"]), optionsOf(args, call, ["input"]));
      return { output, kept: String(count), mask: mask === undefined ? undefined : toBase64(mask) };
    }
    case "dropout_backward":
      return {
        grad_input: await client.dropoutBackward(toTensor(args["grad_output"]), optionsOf(args, call, ["grad_output"])),
      };
    case "clip_gradients":
      return clip(client, args, call);
    case "measure_gradients": {
      const partial = await client.measureGradients(
        gradientsOf(args["gradients"]),
        optionsOf(args, call, ["gradients"]),
      );
      return { partial: toBase64(partial.toBytes()), total_norm: numberToJson(partial.totalNorm) };
    }
    case "measure_statistics": {
      const partial = await client.measureStatistics(toTensor(args["input"]), optionsOf(args, call, ["input"]));
      return { partial: toBase64(partial.toBytes()) };
    }
    case "server_info": {
      const info = await client.serverInfo(call);
      return {
        version: info.version,
        max_message_bytes: String(info.maxMessageBytes),
        max_stream_chunk_bytes: String(info.maxStreamChunkBytes),
        warned: kept.hasWarned,
      };
    }
    default:
      throw new Unsupported(`there is no operation ${op}`);
  }
}

/** Operations without a server; `undefined` for others. */
function local({ op, args = {} }: Request): object | undefined {
  switch (op) {
    case "keep_mask": {
      const { n, ...options } = args;
      return { keep: toBase64(keepMask(Number(n), optionsOf(options, {}, []))) };
    }
    case "convert":
      return { output: toTensor(args["input"]).to(args["dtype"]) };
    case "merge_norms": {
      const [first, ...others] = (args["partials"] as string[]).map((partial) =>
        NormPartial.fromBytes(fromBase64(partial)),
      );
      const merged = NormPartial.merge(first ?? fail(), ...others);
      return { partial: toBase64(merged.toBytes()), total_norm: numberToJson(merged.totalNorm) };
    }
    case "merge_statistics": {
      const [first, ...others] = (args["partials"] as string[]).map((partial) =>
        StatisticsPartial.fromBytes(fromBase64(partial)),
      );
      return { partial: toBase64(StatisticsPartial.merge(first ?? fail(), ...others).toBytes()) };
    }
    default:
      return undefined;
  }
}

/** The result with its tensors as JSON. */
function written(result: object, digest: boolean): object {
  const write = (value: unknown): unknown => {
    if (value instanceof Tensor) return tensorToJson(value, digest);
    if (!Array.isArray(value)) return value;
    return value.map((item: unknown) => {
      const named = item as { name?: string; tensor?: Tensor };
      return named.tensor instanceof Tensor ? { name: named.name, ...tensorToJson(named.tensor, digest) } : item;
    });
  };
  return Object.fromEntries(Object.entries(result).map(([name, value]) => [name, write(value)]));
}

function errorToJson(error: EvenkeelError): object {
  const norm =
    error instanceof NonfiniteNormError
      ? {
          total_norm: numberToJson(error.totalNorm),
          nan_elements: String(error.nanElements),
          infinite_elements: String(error.infiniteElements),
          nonfinite_gradients: String(error.nonfiniteGradients),
          gradients: Object.fromEntries(error.gradients.map(({ index, name }) => [String(index), name])),
        }
      : undefined;
  return {
    code: error.code,
    message: error.message,
    reason: error.reason ?? null,
    fields: error instanceof InvalidArgumentError ? error.fields.map(({ path }) => path) : [],
    retry_after_ms: error instanceof OverloadedError ? (error.retryAfterMs ?? null) : null,
    ...(norm === undefined ? {} : { norm }),
  };
}

async function answer(request: Request): Promise<object> {
  const controller = new AbortController();
  const timer =
    request.cancel_after_ms === undefined
      ? undefined
      : setTimeout(() => {
          controller.abort();
        }, request.cancel_after_ms);
  try {
    const call: CallOptions = {
      ...(request.timeout_ms === undefined ? {} : { timeoutMs: request.timeout_ms }),
      ...(timer === undefined ? {} : { signal: controller.signal }),
    };
    return {
      id: request.id,
      result: written(local(request) ?? (await remote(request, call)), request.digest === true),
    };
  } catch (error) {
    if (error instanceof Unsupported) return { id: request.id, unsupported: error.message };
    if (error instanceof EvenkeelError) return { id: request.id, error: errorToJson(error) };
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

for await (const line of createInterface(process.stdin)) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line) as Request))}\n`);
}
await Promise.all([...clients.values()].map(async ({ client }) => client.close()));
