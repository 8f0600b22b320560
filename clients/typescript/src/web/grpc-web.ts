/** The protocol gRPC-Web: gRPC's frames, and the status in the last of them. */

import { grpcFault, grpcTimeout, httpFault, type ReadHeader } from "../core/grpc-status.js";
import { StatusFault } from "../core/status.js";
import type { WireCall } from "../core/transport.js";
import { FrameReader } from "../wire/receiver.js";
import { headerOf, parseTrailers, readBody } from "./body.js";

/** The flag of the frame that has the trailers. */
const TRAILERS = 0x80;

export function grpcWebHeaders({ timeoutMs }: WireCall): Record<string, string> {
  return {
    "content-type": "application/grpc-web+proto",
    "x-grpc-web": "1",
    ...(timeoutMs === undefined ? {} : { "grpc-timeout": grpcTimeout(timeoutMs) }),
  };
}

/** Reads the answer of a call. */
export async function readGrpcWeb(response: Response, { receiver }: WireCall): Promise<void> {
  const header = headerOf(response);
  const early = grpcFault(header);
  if (early !== undefined) throw early;
  if (!response.ok) throw httpFault(response.status);
  let trailers: ReadHeader = header;
  const frames = new FrameReader(receiver, (flags, frame) => {
    if (flags !== TRAILERS) throw new StatusFault("INTERNAL", "the answer has a frame of an unknown kind");
    trailers = parseTrailers(frame);
  });
  await readBody(response, (chunk) => {
    frames.push(chunk);
  });
  const fault = grpcFault(trailers);
  if (fault !== undefined) throw fault;
  if (trailers("grpc-status") === undefined) throw new StatusFault("INTERNAL", "the answer has no status");
  frames.finish();
}
