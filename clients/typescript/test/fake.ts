/** A server of HTTP/2 that answers as a test says. */

import { createServer, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";

import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";

import { GetServerInfoResponseSchema } from "../src/gen/evenkeel/v1/tensor_ops_pb.js";
import { ErrorInfoSchema, RetryInfoSchema, StatusSchema } from "../src/gen/google/rpc/details_pb.js";
import { concat, frame } from "../src/wire/writer.js";

/** What a fake does with a call. */
export type Answer = (stream: ServerHttp2Stream, call: number) => void;

export interface Fake extends AsyncDisposable {
  readonly address: string;
  /** The number of calls that came. */
  calls(): number;
  /** The headers of the last call. */
  headers(): NodeJS.Dict<string | string[]>;
  sessions(): readonly ServerHttp2Session[];
}

export async function fake(answer: Answer): Promise<Fake> {
  const server = createServer();
  const sessions: ServerHttp2Session[] = [];
  let calls = 0;
  let last: NodeJS.Dict<string | string[]> = {};
  server.on("session", (session) => {
    sessions.push(session);
    session.on("error", () => undefined);
  });
  server.on("stream", (stream, headers) => {
    stream.on("error", () => undefined);
    calls += 1;
    last = headers;
    answer(stream, calls);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls: () => calls,
    headers: () => last,
    sessions: () => sessions,
    [Symbol.asyncDispose]: async () => {
      for (const session of sessions) session.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Ends a call with a status alone. */
export function refuse(stream: ServerHttp2Stream, code: number, reason?: string, delayMs?: number): void {
  const details = [
    ...(reason === undefined
      ? []
      : [anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { reason, domain: "evenkeel" }))]),
    ...(delayMs === undefined
      ? []
      : [anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay: { seconds: 0n, nanos: delayMs * 1e6 } }))]),
  ];
  const status = toBinary(StatusSchema, create(StatusSchema, { code, message: "no", details }));
  stream.respond(
    {
      ":status": 200,
      "content-type": "application/grpc",
      "grpc-status": String(code),
      "grpc-message": "not%20now",
      "grpc-status-details-bin": Buffer.from(status).toString("base64"),
    },
    { endStream: true },
  );
}

/** Answers GetServerInfo. */
export function inform(stream: ServerHttp2Stream, version = "0.1.0"): void {
  const { parts } = frame(GetServerInfoResponseSchema, { version, maxMessageBytes: 1n << 20n });
  finish(stream, concat(parts));
}

/** Answers with bytes and a status. */
export function finish(stream: ServerHttp2Stream, bytes: Uint8Array, status = "0"): void {
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => {
    stream.sendTrailers({ "grpc-status": status });
  });
  stream.end(bytes);
}
