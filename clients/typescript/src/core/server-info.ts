/** What a server says about itself. */

import type { GetServerInfoResponse } from "../gen/evenkeel/v1/tensor_ops_pb.js";
import { dtypeFromWire, type DType } from "./dtype.js";
import { kindFromWire, type NormKind } from "./kinds.js";
import { VERSION } from "./version.js";

/** The limits that decide which calls are made as streams. */
export interface Limits {
  /** The longest message that the server takes or sends, in bytes. */
  readonly maxMessageBytes: number;
  /** The longest chunk of a streamed tensor that it sends, in bytes; 0: it streams no tensors. */
  readonly maxStreamChunkBytes: number;
}

/** A server's version, its limits, and what it can compute. */
export interface ServerInfo extends Limits {
  /** The server's version: "0.1.0". */
  readonly version: string;
  /** The longest message that it takes or sends, in bytes. */
  readonly maxMessageBytes: number;
  /** The longest chunk of a streamed tensor that it sends, in bytes; 0: it streams no tensors. */
  readonly maxStreamChunkBytes: number;
  /** The element types that it computes on, of those that this client knows. */
  readonly dtypes: readonly DType[];
  /** The normalizations that it computes, of those that this client knows. */
  readonly normKinds: readonly NormKind[];
  /** How messages may be compressed, by gRPC's names. This client sends them plain. */
  readonly compression: readonly string[];
}

export function infoOf(message: GetServerInfoResponse): ServerInfo {
  return {
    version: message.version,
    maxMessageBytes: Number(message.maxMessageBytes),
    maxStreamChunkBytes: Number(message.maxStreamChunkBytes),
    dtypes: message.dtypes.map(dtypeFromWire).filter((dtype) => dtype !== undefined),
    normKinds: message.normKinds.map(kindFromWire).filter((kind) => kind !== undefined),
    compression: message.compression,
  };
}

/** Major and minor version; NaN for a text that is no version. */
function parsed(version: string): [major: number, minor: number] {
  const [, major, minor] = /^(\d+)\.(\d+)\./.exec(version) ?? [];
  return [Number(major), Number(minor)];
}

/** What to tell the user of a server whose version is not next to the client's; `undefined` if it is. */
export function versionWarning(server: string, client: string = VERSION): string | undefined {
  const [theirMajor, theirMinor] = parsed(server);
  const [ourMajor, ourMinor] = parsed(client);
  if (theirMajor === ourMajor && Math.abs(theirMinor - ourMinor) <= 1) return undefined;
  return `the server has version ${server}, and this client ${client}: they may not understand each other`;
}
