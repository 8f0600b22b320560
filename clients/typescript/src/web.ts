/**
 * A client of evenkeel for browsers: normalization, dropout and gradient clipping, computed by a server.
 *
 * @packageDocumentation
 */

export * from "./core/exports.js";
export { Client, type ClientOptions } from "./web/client.js";
export type { WebProtocol } from "./web/fetch-transport.js";
