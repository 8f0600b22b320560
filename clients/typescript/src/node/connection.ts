/** A connection of HTTP/2, opened when it is needed, and again when it has ended. */

import { connect, type ClientHttp2Session, type SecureClientSessionOptions } from "node:http2";

import type { Address, TlsOptions } from "./address.js";

/** What the server may send on a stream, and on the connection, before this side has read it. */
const WINDOW_BYTES = 1 << 24;

/** In MB. Node's 10 are too few for large messages side by side: it ends the connection with ENHANCE_YOUR_CALM. */
const MAX_SESSION_MEMORY = 512;

/** How long a connection may take to end in good order. */
const CLOSE_TIMEOUT_MS = 1000;

interface Current {
  readonly session: ClientHttp2Session;
  /** The calls that are under way. */
  calls: number;
  /** When something last came. */
  heard: number;
  /** What broke the connection. */
  fault: Error | undefined;
}

/** A call's hold on a connection. */
export interface Lease {
  readonly session: ClientHttp2Session;
  /** What broke the connection, if something did. */
  fault(): Error | undefined;
  /** Something came from the server. */
  hear(): void;
  /** Ends the hold. A server that has sent nothing for so long that the call gave up gets no more calls on this connection. */
  release(gaveUp: boolean): void;
}

function bytes(value: string | Uint8Array): string | Buffer {
  return typeof value === "string" ? value : Buffer.from(value);
}

export class Connection {
  readonly #address: Address;
  readonly #tls: TlsOptions;
  #current: Current | undefined;

  constructor(address: Address, tls: TlsOptions) {
    this.#address = address;
    this.#tls = tls;
  }

  lease(): Lease {
    const current = this.#usable() ?? this.#open();
    const began = performance.now();
    current.calls += 1;
    current.session.ref();
    return {
      session: current.session,
      fault: () => current.fault,
      hear: () => {
        current.heard = performance.now();
      },
      release: (gaveUp) => {
        current.calls -= 1;
        // A connection without calls does not keep the program alive.
        if (current.calls === 0 && !current.session.destroyed) current.session.unref();
        if (gaveUp && current.heard < began) this.#retire(current);
      },
    };
  }

  async close(): Promise<void> {
    const session = this.#current?.session;
    this.#current = undefined;
    if (session === undefined || session.destroyed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        session.destroy();
      }, CLOSE_TIMEOUT_MS);
      session.once("close", () => {
        clearTimeout(timer);
        resolve();
      });
      if (session.connecting) session.destroy();
      else session.close();
    });
  }

  #usable(): Current | undefined {
    const session = this.#current?.session;
    return session === undefined || session.closed || session.destroyed ? undefined : this.#current;
  }

  #retire(current: Current): void {
    if (this.#current === current) this.#current = undefined;
    if (!current.session.destroyed) current.session.close();
  }

  #open(): Current {
    const { url, connect: connectSocket } = this.#address;
    const { ca, cert, key, serverName } = this.#tls;
    const options: SecureClientSessionOptions = {
      maxSessionMemory: MAX_SESSION_MEMORY,
      settings: { enablePush: false, initialWindowSize: WINDOW_BYTES },
      ...(connectSocket === undefined ? {} : { createConnection: connectSocket }),
      ...(ca === undefined ? {} : { ca: bytes(ca) }),
      ...(cert === undefined ? {} : { cert: bytes(cert) }),
      ...(key === undefined ? {} : { key: bytes(key) }),
      ...(serverName === undefined ? {} : { servername: serverName }),
    };
    const session = connect(url, options);
    const current: Current = { session, calls: 0, heard: -Infinity, fault: undefined };
    session.on("connect", () => {
      session.setLocalWindowSize(WINDOW_BYTES);
    });
    session.on("error", (error) => {
      current.fault ??= error as Error;
    });
    session.on("goaway", () => {
      this.#retire(current);
    });
    this.#current = current;
    return current;
  }
}
