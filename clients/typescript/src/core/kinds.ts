/** The names of kinds, and what they are on the wire. */

import {
  DropoutKind as WireDropoutKind,
  DropoutScaling as WireScaling,
  NormKind as WireNormKind,
} from "../gen/evenkeel/v1/tensor_ops_pb.js";
import { choice } from "./arguments.js";

/**
 * The elements that a normalization pools together.
 *
 * | kind | pools |
 * |---|---|
 * | `"batch"` | all axes but the channels |
 * | `"layer"`, `"rms"` | the last axis (rank 1 to 3), or all axes but the first |
 * | `"instance"` | all axes but the first and the channels |
 * | `"group"` | all axes but the first, for each group of channels |
 * | `"l2"` | axis 1 (rank 1: axis 0) |
 */
export type NormKind = "batch" | "layer" | "rms" | "instance" | "group" | "l2";

/** What a dropout drops: elements, or whole channels; `"alpha"` and `"feature_alpha"` keep mean and variance. */
export type DropoutKind = "element" | "channel" | "alpha" | "feature_alpha";

/** What becomes of kept elements: `"inverted"` multiplies them by 1 / (1 - p), `"none"` leaves them as they are. */
export type DropoutScaling = "inverted" | "none";

const NORM_KINDS: Readonly<Record<NormKind, WireNormKind>> = {
  batch: WireNormKind.BATCH,
  layer: WireNormKind.LAYER,
  rms: WireNormKind.RMS,
  instance: WireNormKind.INSTANCE,
  group: WireNormKind.GROUP,
  l2: WireNormKind.L2,
};

const DROPOUT_KINDS: Readonly<Record<DropoutKind, WireDropoutKind>> = {
  element: WireDropoutKind.ELEMENT,
  channel: WireDropoutKind.CHANNEL,
  alpha: WireDropoutKind.ALPHA,
  feature_alpha: WireDropoutKind.FEATURE_ALPHA,
};

const SCALINGS: Readonly<Record<DropoutScaling, WireScaling>> = {
  inverted: WireScaling.INVERTED,
  none: WireScaling.NONE,
};

export function kindToWire(kind: NormKind): WireNormKind {
  return choice("kind", kind, NORM_KINDS);
}

/** `undefined`: a kind that this client does not know. */
export function kindFromWire(wire: WireNormKind): NormKind | undefined {
  return (Object.keys(NORM_KINDS) as NormKind[]).find((kind) => NORM_KINDS[kind] === wire);
}

export function dropoutKindToWire(kind: DropoutKind): WireDropoutKind {
  return choice("kind", kind, DROPOUT_KINDS);
}

export function scalingToWire(scaling: DropoutScaling): WireScaling {
  return choice("scaling", scaling, SCALINGS);
}
