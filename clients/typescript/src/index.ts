/**
 * A client of evenkeel for Node: normalization, dropout and gradient clipping, computed by a server.
 *
 * @packageDocumentation
 */

export * from "./core/exports.js";
export type { TlsOptions } from "./node/address.js";
export { Client, type ClientOptions } from "./node/client.js";
