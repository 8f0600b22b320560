/// <reference lib="esnext.disposable" preserve="true" />
/**
 * Starts evenkeel servers for tests, in Node.
 *
 * @packageDocumentation
 */

import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";

/** Settings of {@link startServer}. */
export interface ServerOptions {
  /** The program. Default: what the variable EVENKEEL_BINARY names, or `evenkeel` on the PATH. */
  readonly binary?: string | undefined;
  /** Arguments of `evenkeel serve`, such as `--max-message-bytes=1024`. */
  readonly args?: readonly string[] | undefined;
  /** Where it listens: `host:port` or `unix:/path`. Default: a free port of 127.0.0.1. */
  readonly listen?: string | undefined;
  /** Variables of its environment beside those of this program. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** How many milliseconds it may take to listen. Default: 10,000. */
  readonly startTimeoutMs?: number | undefined;
}

/** A server that runs. It is killed when the program ends, if not before. */
export interface Server extends AsyncDisposable {
  /** Where it listens, for a client: `127.0.0.1:41234` or `unix:/path`. */
  readonly address: string;
  /** Its process. */
  readonly pid: number;
  /** Stops it, and waits for its end. */
  stop(): Promise<void>;
}

const STARTED = /^listening on (.+)$/;

/** How long a server may take to end in good order. */
const STOP_TIMEOUT_MS = 5000;

/** The servers that run. */
const running = new Set<ChildProcess>();

/** Signals end a program without the event `exit`. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

function killAll(): void {
  for (const child of running) child.kill("SIGKILL");
}

function killAllAndEnd(signal: NodeJS.Signals): void {
  killAll();
  for (const each of SIGNALS) process.off(each, killAllAndEnd);
  process.kill(process.pid, signal);
}

function track(child: ChildProcess): void {
  if (running.size === 0) {
    process.on("exit", killAll);
    for (const signal of SIGNALS) if (process.listenerCount(signal) === 0) process.on(signal, killAllAndEnd);
  }
  running.add(child);
  child.once("exit", () => {
    running.delete(child);
    if (running.size > 0) return;
    process.off("exit", killAll);
    for (const signal of SIGNALS) process.off(signal, killAllAndEnd);
  });
}

/**
 * Starts a server, and waits until it listens.
 *
 * @example
 * ```ts
 * import { Client } from "@evenkeel/client";
 * import { startServer } from "@evenkeel/client/testing";
 *
 * await using server = await startServer();
 * await using client = new Client(server.address);
 * ```
 */
export async function startServer(options: ServerOptions = {}): Promise<Server> {
  const { args = [], listen = "127.0.0.1:0", env = {}, startTimeoutMs = 10_000 } = options;
  const fromVariable = process.env["EVENKEEL_BINARY"];
  const binary = options.binary ?? (fromVariable === undefined || fromVariable === "" ? "evenkeel" : fromVariable);
  const child = spawn(binary, ["serve", "--listen", listen, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { EVENKEEL_LOG_LEVEL: "warn", ...process.env, ...env },
  });
  track(child);
  const words: string[] = [];
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    // The last lines are for the error of a server that does not start.
    words.push(text);
    if (words.length > 50) words.shift();
  });
  try {
    const address = await started(child, startTimeoutMs, binary);
    const stop = async (): Promise<void> => end(child);
    return { address, pid: child.pid ?? 0, stop, [Symbol.asyncDispose]: stop };
  } catch (error) {
    child.kill("SIGKILL");
    running.delete(child);
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${reason}${words.length > 0 ? `\n${words.join("")}` : ""}`, { cause: error });
  }
}

/** The address that the first line says. */
async function started(child: ChildProcess, timeoutMs: number, binary: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`${binary} did not listen within ${timeoutMs} ms`));
    }, timeoutMs);
    child.once("error", (error) => {
      clearTimeout(timer);
      reject(new Error(`${binary} does not start: ${error.message}; name it in \`binary\` or EVENKEEL_BINARY`));
    });
    child.once("exit", (code, signal) => {
      clearTimeout(timer);
      reject(new Error(`${binary} ended with ${signal ?? code ?? 0} before it listened`));
    });
    if (child.stdout === null) return;
    createInterface(child.stdout).on("line", (line) => {
      const address = STARTED.exec(line)?.[1];
      if (address === undefined) return;
      clearTimeout(timer);
      resolve(address);
    });
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    child.once("exit", () => {
      clearTimeout(timer);
      resolve();
    });
    child.kill("SIGTERM");
  });
}
