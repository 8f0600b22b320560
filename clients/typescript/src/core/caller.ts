/** Makes calls on the wire: with retries, and within the time of the user's call. */

import { fromBinary } from "@bufbuild/protobuf";

import { GetServerInfoRequestSchema, GetServerInfoResponseSchema } from "../gen/evenkeel/v1/tensor_ops_pb.js";
import { MessageReceiver } from "../wire/receiver.js";
import type { Landed, Layout, Place } from "../wire/reader.js";
import { frame, type Framed } from "../wire/writer.js";
import {
  EvenkeelError,
  InternalError,
  OverloadedError,
  protocolError,
  UnavailableError,
  UnimplementedError,
} from "./errors.js";
import { Scope, type CallOptions } from "./scope.js";
import { infoOf, versionWarning, type Limits, type ServerInfo } from "./server-info.js";
import { errorOf, StatusFault } from "./status.js";
import type { Method, Transport } from "./transport.js";

/** How a client makes calls. */
export interface CallerSettings {
  readonly timeoutMs: number;
  readonly retries: number;
}

const FIRST_BACKOFF_MS = 100;
const LONGEST_BACKOFF_MS = 5000;
/** A server that asks for a longer delay is not waited for, whatever the deadline. */
const LONGEST_DELAY_MS = 60_000;

/** One try of a call: its messages and what takes the answer, both from the beginning. */
export interface Attempt<T> {
  readonly messages: Iterable<Framed>;
  readonly layout: Layout;
  readonly place: Place;
  readonly take: (landed: Landed) => void;
  /** The result, when the call has ended well. */
  readonly result: () => T;
}

const SERVER_INFO: Method = { name: "GetServerInfo", kind: "unary" };

/** What the server's answer says, if it does not say it. */
const UNKNOWN: Limits = { maxMessageBytes: Infinity, maxStreamChunkBytes: 0 };

export class Caller {
  readonly transport: Transport;
  readonly #settings: CallerSettings;
  readonly #ended = new AbortController();
  #limits: Promise<Limits> | undefined;
  #hasWarned = false;

  constructor(transport: Transport, settings: CallerSettings) {
    this.transport = transport;
    this.#settings = settings;
  }

  /** Does a call of the user, within its time. */
  async within<T>(options: CallOptions, work: (scope: Scope) => Promise<T>): Promise<T> {
    const scope = new Scope(options, this.#settings.timeoutMs, this.#ended.signal);
    try {
      scope.check();
      return await work(scope);
    } finally {
      scope.dispose();
    }
  }

  /** Makes a call with one message each way. */
  async unary(scope: Scope, name: string, request: Framed, layout: Layout = {}): Promise<Landed> {
    return this.invoke(scope, { name, kind: "unary" }, () => this.#whole([request], layout));
  }

  /** Makes a call with any number of messages, and one as the answer. */
  async collect(scope: Scope, name: string, messages: () => Iterable<Framed>): Promise<Landed> {
    return this.invoke(scope, { name, kind: "client-stream" }, () => this.#whole(messages(), {}));
  }

  #whole(messages: Iterable<Framed>, layout: Layout): Attempt<Landed> {
    let answer: Landed | undefined;
    return {
      messages,
      layout,
      place: (_, bytes) => this.transport.allocate(bytes),
      take: (landed) => {
        if (answer !== undefined) throw protocolError("the answer", "has more than one message");
        answer = landed;
      },
      result: () => {
        if (answer === undefined) throw protocolError("the answer", "has no message");
        return answer;
      },
    };
  }

  /** Makes a call, again if the server asks for it. */
  async invoke<T>(scope: Scope, method: Method, attempt: () => Attempt<T>): Promise<T> {
    const { signal } = scope;
    for (let tries = 0; ; tries += 1) {
      const { messages, layout, place, take, result } = attempt();
      try {
        scope.check();
        const receiver = new MessageReceiver(layout, place, take);
        const timeoutMs = scope.leftMs === Infinity ? undefined : Math.max(scope.leftMs, 0);
        await this.transport.call({ method, messages, receiver, signal, timeoutMs });
        return result();
      } catch (fault) {
        scope.check();
        const error = explained(fault);
        const delay = delayBefore(error, tries);
        if (delay === undefined || tries >= this.#settings.retries || delay >= scope.leftMs) throw error;
        await scope.sleep(delay);
      }
    }
  }

  /** Asks the server for what it is and can do. */
  async serverInfo(scope: Scope): Promise<ServerInfo> {
    const landed = await this.unary(scope, SERVER_INFO.name, frame(GetServerInfoRequestSchema, {}));
    const info = infoOf(fromBinary(GetServerInfoResponseSchema, landed.rest));
    const warning = versionWarning(info.version);
    if (warning !== undefined && !this.#hasWarned) {
      this.#hasWarned = true;
      this.transport.warn(warning);
    }
    return info;
  }

  /** The server's limits, which are asked for once. */
  async limits(scope: Scope): Promise<Limits> {
    this.#limits ??= this.within({}, (own) => this.serverInfo(own)).catch((error: unknown) => {
      // An older server stays one. All else may be better the next time.
      if (!(error instanceof UnimplementedError)) this.#limits = undefined;
      // A proxy may refuse the call. What is wrong with others is told by the call itself.
      if (error instanceof UnimplementedError || (error instanceof EvenkeelError && error.code === "PERMISSION_DENIED"))
        return UNKNOWN;
      throw error;
    });
    return scope.race(this.#limits);
  }

  /** Ends all calls and connections. */
  async close(): Promise<void> {
    this.#ended.abort();
    await this.transport.close();
  }
}

function explained(fault: unknown): EvenkeelError {
  if (fault instanceof EvenkeelError) return fault;
  if (fault instanceof StatusFault) return errorOf(fault.status);
  return new InternalError(`the answer cannot be read: ${String(fault)}`, { cause: fault });
}

/** How long to wait before a call is made again; `undefined`: it is not. */
function delayBefore(error: EvenkeelError, tries: number): number | undefined {
  const backoff = Math.min(FIRST_BACKOFF_MS * 2 ** tries, LONGEST_BACKOFF_MS) * (0.5 + Math.random() / 2);
  if (error instanceof OverloadedError && error.reason === "OVERLOADED") {
    const delay = error.retryAfterMs ?? backoff;
    return delay > LONGEST_DELAY_MS ? undefined : delay;
  }
  return error instanceof UnavailableError ? backoff : undefined;
}
