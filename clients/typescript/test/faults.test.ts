/** Servers that refuse, fail, or say what they may not. */

import assert from "node:assert/strict";
import { constants } from "node:http2";
import { test } from "node:test";

import {
  CancelledError,
  Client,
  DeadlineExceededError,
  EvenkeelError,
  InternalError,
  InvalidArgumentError,
  MessageTooLargeError,
  OverloadedError,
  UnavailableError,
  type ClientOptions,
} from "@evenkeel/client";

import { fake, finish, inform, refuse, type Answer } from "./fake.js";

const RESOURCE_EXHAUSTED = 8;
const UNAVAILABLE = 14;

/** What a call of a server that answers so comes to, and how often it was made. */
async function outcome(
  answer: Answer,
  options: ClientOptions = {},
  timeoutMs?: number,
): Promise<{ error: unknown; calls: number; milliseconds: number }> {
  await using server = await fake(answer);
  await using client = new Client(server.address, options);
  const start = performance.now();
  const error = await client.serverInfo({ timeoutMs }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return { error, calls: server.calls(), milliseconds: performance.now() - start };
}

test("a call is made again after the delay that the server asks for", async () => {
  const { error, calls, milliseconds } = await outcome((stream, call) => {
    if (call < 3) refuse(stream, RESOURCE_EXHAUSTED, "OVERLOADED", 60);
    else inform(stream);
  });
  assert.deepEqual([error, calls], [undefined, 3]);
  assert.ok(milliseconds >= 120, String(milliseconds));
});

test("retries have an end", async () => {
  const { error, calls } = await outcome((stream) => {
    refuse(stream, RESOURCE_EXHAUSTED, "OVERLOADED", 5);
  });
  assert.ok(error instanceof OverloadedError);
  assert.deepEqual(
    [error.code, error.reason, error.retryAfterMs, error.message],
    ["RESOURCE_EXHAUSTED", "OVERLOADED", 5, "not now"],
  );
  assert.equal(calls, 5);
  const never = await outcome(
    (stream) => {
      refuse(stream, UNAVAILABLE);
    },
    { retries: 0 },
  );
  assert.ok(never.error instanceof UnavailableError);
  assert.equal(never.calls, 1);
});

test("a delay beyond the deadline is not waited for", async () => {
  const { error, calls, milliseconds } = await outcome(
    (stream) => {
      refuse(stream, RESOURCE_EXHAUSTED, "OVERLOADED", 900);
    },
    {},
    800,
  );
  assert.ok(error instanceof OverloadedError);
  assert.equal(calls, 1);
  assert.ok(milliseconds < 700, String(milliseconds));
});

test("what would fail again is not made again", async () => {
  for (const reason of ["MESSAGE_TOO_LARGE", "METADATA_TOO_LARGE", "NEEDS_TWO_PASSES", "SOMETHING"]) {
    const { error, calls } = await outcome((stream) => {
      refuse(stream, RESOURCE_EXHAUSTED, reason, 1);
    });
    assert.equal(calls, 1, reason);
    assert.ok(error instanceof EvenkeelError && error.reason === reason);
    assert.equal(error instanceof MessageTooLargeError, reason.endsWith("TOO_LARGE"));
  }
});

test("a stream that the server has not begun is begun again", async () => {
  const { error, calls } = await outcome((stream, call) => {
    if (call === 1) stream.close(constants.NGHTTP2_REFUSED_STREAM);
    else inform(stream);
  });
  assert.deepEqual([error, calls], [undefined, 2]);
});

test("a connection that broke is opened again", async () => {
  const { error, calls } = await outcome((stream, call) => {
    if (call === 1) stream.session?.destroy();
    else inform(stream);
  });
  assert.deepEqual([error, calls], [undefined, 2]);
});

test("a server that never answers is given up, and its connection", async () => {
  await using server = await fake((stream, call) => {
    if (call > 1) inform(stream);
  });
  await using client = new Client(server.address);
  await assert.rejects(client.serverInfo({ timeoutMs: 100 }), DeadlineExceededError);
  assert.match(String(server.headers()["grpc-timeout"]), /^\d+m$/);
  await client.serverInfo();
  assert.equal(server.sessions().length, 2);
});

test("signals cancel", async () => {
  let tell: (code: number | undefined) => void = () => undefined;
  const reset = new Promise<number | undefined>((resolve) => {
    tell = resolve;
  });
  await using server = await fake((stream) => {
    stream.on("close", () => {
      tell(stream.rstCode);
    });
  });
  await using client = new Client(server.address);
  const controller = new AbortController();
  setTimeout(() => {
    controller.abort(new Error("enough"));
  }, 50);
  await assert.rejects(client.serverInfo({ signal: controller.signal }), (error) => {
    assert.ok(error instanceof CancelledError && (error.cause as Error).message === "enough");
    return true;
  });
  assert.equal(await reset, constants.NGHTTP2_CANCEL);
  await assert.rejects(client.serverInfo({ signal: AbortSignal.abort() }), CancelledError);
  await assert.rejects(client.serverInfo({ signal: AbortSignal.timeout(20) }), DeadlineExceededError);
  await assert.rejects(client.serverInfo({ signal: 1 as unknown as AbortSignal }), InvalidArgumentError);
});

test("many calls share a signal, and Node warns of nothing", async () => {
  const warnings: Error[] = [];
  const keep = (warning: Error): void => {
    warnings.push(warning);
  };
  process.on("warning", keep);
  try {
    await using server = await fake((stream) => {
      inform(stream);
    });
    await using client = new Client(server.address);
    const { signal } = new AbortController();
    await Promise.all(Array.from({ length: 30 }, () => client.serverInfo({ signal })));
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(warnings, []);
  } finally {
    process.off("warning", keep);
  }
});

test("the end of a client ends its calls", async () => {
  await using server = await fake(() => undefined);
  const client = new Client(server.address);
  const call = client.serverInfo();
  setTimeout(() => void client.close(), 50);
  await assert.rejects(call, CancelledError);
  await assert.rejects(client.serverInfo(), CancelledError);
});

test("answers that break the contract are errors", async () => {
  const one = Uint8Array.of(0, 0, 0, 0, 2, 0x10, 1);
  const answers: [Uint8Array, RegExp][] = [
    [new Uint8Array(), /no message/],
    [Uint8Array.of(...one, ...one), /more than one/],
    [Uint8Array.of(0, 0, 0, 0, 2, 0x10), /cut off/],
    [Uint8Array.of(1, 0, 0, 0, 2, 0x10, 1), /compressed/],
    [Uint8Array.of(0, 0, 0, 0, 2, 0x0a, 9), /longer than its message/],
  ];
  for (const [bytes, words] of answers) {
    const { error } = await outcome((stream) => {
      finish(stream, bytes);
    });
    assert.ok(error instanceof InternalError, String(error));
    assert.match(error.message, words);
  }
});

test("answers without a status mean what HTTP says", async () => {
  const http: [number, string][] = [
    [401, "UNAUTHENTICATED"],
    [404, "UNIMPLEMENTED"],
    [503, "UNAVAILABLE"],
    [418, "UNKNOWN"],
  ];
  for (const [status, code] of http) {
    const { error } = await outcome(
      (stream) => {
        stream.respond({ ":status": status }, { endStream: true });
      },
      { retries: 0 },
    );
    assert.ok(error instanceof EvenkeelError);
    assert.equal(error.code, code);
  }
  const { error } = await outcome((stream) => {
    stream.respond({ ":status": 200 }, { endStream: true });
  });
  assert.ok(error instanceof InternalError);
});

test("a warning comes once", async () => {
  const warnings: string[] = [];
  await using server = await fake((stream) => {
    inform(stream, "0.9.0");
  });
  await using client = new Client(server.address, { onWarning: (message) => warnings.push(message) });
  await client.serverInfo();
  await client.serverInfo();
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /0\.9\.0/);
});

test("calls take the connections in turns", async () => {
  await using server = await fake((stream) => {
    inform(stream);
  });
  await using client = new Client(server.address, { connections: 3 });
  for (let call = 0; call < 7; call += 1) await client.serverInfo();
  assert.equal(server.sessions().length, 3);
});

test("settings that cannot be used are refused", () => {
  const settings: [string, string, ClientOptions?][] = [
    ["address", ""],
    ["address", "localhost"],
    ["address", "ftp://localhost:1"],
    ["address", "http://localhost:1/path"],
    ["address", "unix:"],
    ["token", "localhost:1", { token: "a\n" }],
    ["token", "http://example.com:1", { token: "a" }],
    ["tls", "http://localhost:1", { tls: true }],
    ["tls", "unix:/x", { tls: true }],
    ["tls.cert", "localhost:1", { tls: { cert: "x" } }],
    ["connections", "localhost:1", { connections: 0 }],
    ["retries", "localhost:1", { retries: -1 }],
    ["timeoutMs", "localhost:1", { timeoutMs: NaN }],
    ["tokn", "localhost:1", { tokn: "x" } as ClientOptions],
  ];
  for (const [field, address, options] of settings) {
    assert.throws(
      () => new Client(address, options),
      (error) => {
        assert.ok(error instanceof InvalidArgumentError);
        assert.equal(error.fields[0]?.path, field);
        assert.ok(!error.message.includes("a\n"), "no secret");
        return true;
      },
      address,
    );
  }
  new Client("http://example.com:1", { token: "a", allowPlaintext: true });
  new Client("https://example.com", { token: "a" });
  new Client("[::1]:50051", { token: "a" });
});
