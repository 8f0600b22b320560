/** Where a server is, and how it is reached. */

import { connect as connectSocket, type Socket } from "node:net";

import { refuse, shown } from "../core/arguments.js";
import { isLoopback } from "../core/settings.js";

/** Settings of TLS. Certificates and keys are the text of PEM files, not their paths. */
export interface TlsOptions {
  /** The authorities that sign servers' certificates. Default: those that Node trusts. */
  readonly ca?: string | Uint8Array | undefined;
  /** The client's certificate, followed by those that signed it. Together with `key`. */
  readonly cert?: string | Uint8Array | undefined;
  /** The private key of `cert`. */
  readonly key?: string | Uint8Array | undefined;
  /** The name in the server's certificate, if it is not the host of the address. */
  readonly serverName?: string | undefined;
}

/** The names of {@link TlsOptions}. */
export const TLS_OPTIONS = ["ca", "cert", "key", "serverName"] as const satisfies (keyof TlsOptions)[];

/** An address that was understood. */
export interface Address {
  /** As the user wrote it. */
  readonly text: string;
  /** `http://` or `https://`, host and port. */
  readonly url: URL;
  /** Opens the connection, where it is not one of TCP. */
  readonly connect: (() => Socket) | undefined;
  /** Whether nobody else can read what is sent. */
  readonly isSafe: boolean;
}

/**
 * @param address - `host:port`, `http://host:port`, `https://host:port` or `unix:/path`.
 * @param hasTls - Whether there are settings of TLS, which make `host:port` encrypted.
 */
export function parseAddress(address: string, hasTls: boolean): Address {
  if (typeof address !== "string") refuse("address", `expected a text, got ${shown(address)}`);
  if (address.startsWith("unix:")) {
    const path = address.slice("unix:".length).replace(/^\/\/(?=\/)/, "");
    if (path === "") refuse("address", "expected unix: and the path of a socket");
    if (hasTls) refuse("tls", "a Unix socket has no TLS");
    return { text: address, url: new URL("http://localhost"), connect: () => connectSocket(path), isSafe: true };
  }
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(address);
  let url: URL;
  try {
    url = new URL(hasScheme ? address : `${hasTls ? "https" : "http"}://${address}`);
  } catch {
    refuse("address", `expected host:port, http://…, https://… or unix:/path, got ${shown(address)}`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") refuse("address", `there is no way ${url.protocol}//`);
  if (!hasScheme && !/:\d+$/.test(address)) refuse("address", `expected host:port, got ${shown(address)}`);
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "" || url.username !== "" || url.password !== "") {
    refuse("address", "expected nothing but a host and a port");
  }
  if (hasTls && url.protocol === "http:") refuse("tls", "http:// is not encrypted; take https://");
  return { text: address, url, connect: undefined, isSafe: url.protocol === "https:" || isLoopback(url) };
}
