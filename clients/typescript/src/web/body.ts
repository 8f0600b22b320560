/** Reads the bodies of answers. */

import type { ReadHeader } from "../core/grpc-status.js";

/** Reads a body piece by piece. */
export async function readBody(response: Response, take: (chunk: Uint8Array) => void): Promise<void> {
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      take(value);
    }
  } catch (error) {
    // The rest is not wanted. The stream is already over where it has failed itself.
    await reader.cancel().catch(() => undefined);
    throw error;
  }
}

/** The headers of an answer that the page may read. */
export function headerOf(response: Response): ReadHeader {
  return (name) => response.headers.get(name) ?? undefined;
}

/** Lines of headers, as in the last frame of gRPC-Web. */
export function parseTrailers(frame: Uint8Array): ReadHeader {
  const trailers = new Map<string, string>();
  for (const line of new TextDecoder().decode(frame).split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) trailers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  return (name) => trailers.get(name);
}
