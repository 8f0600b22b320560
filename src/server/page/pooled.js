// The sets S_i of a normalization: the elements that are pooled together. The service's plan, for the picture alone.

const WITH_CHANNELS = ["BATCH", "INSTANCE", "GROUP"];

/** Whether a kind has an axis of channels. */
export const hasChannels = (kind) => WITH_CHANNELS.includes(kind);

/** The axes that a kind pools over by itself, for a tensor of this rank. */
function defaultAxes(kind, rank, channelAxis) {
  const all = [...Array(rank).keys()];
  switch (kind) {
    case "BATCH": return all.filter((axis) => axis !== channelAxis);
    case "INSTANCE": return all.filter((axis) => axis !== 0 && axis !== channelAxis);
    case "GROUP": return all.slice(1);
    case "L2": return all.slice(0, 2).slice(-1);
    default: return rank <= 3 ? all.slice(-1) : all.slice(1); // LAYER, RMS
  }
}

/**
 * The pooling of a shape: the pooled axes, sorted, and the number of groups that the channels are split into (0: they are
 * not). `problem` says why there is none; the service says so, too.
 */
export function pooling({ kind, axes, groups, channelAxis, shape }) {
  const rank = shape.length;
  const counted = (axis) => (axis < 0 ? axis + rank : axis);
  const within = (axis) => Number.isInteger(axis) && axis >= 0 && axis < rank;
  const channels = hasChannels(kind) ? counted(channelAxis ?? 1) : -1;
  if (rank === 0) return { problem: "A scalar has no axes." };
  if (hasChannels(kind) && !within(channels)) return { problem: `There is no axis ${channelAxis ?? 1} of channels.` };
  if (kind === "INSTANCE" && rank < 3) return { problem: "INSTANCE needs three axes or more." };
  let pooled = axes.length > 0 ? axes.map(counted) : defaultAxes(kind, rank, channels);
  if (!pooled.every(within)) return { problem: `The axes are not all among the ${rank} of the shape.` };
  if (new Set(pooled).size !== pooled.length) return { problem: "An axis is named twice." };
  const split = kind === "GROUP" ? groups : 0;
  if (kind === "GROUP") {
    if (!(groups >= 1)) return { problem: "GROUP needs a number of groups." };
    if (shape[channels] % groups !== 0) return { problem: `${groups} groups do not divide ${shape[channels]} channels.` };
    pooled = [...pooled, channels];
  }
  return { axes: [...new Set(pooled)].sort((a, b) => a - b), channels, groups: split };
}

/** The place of the set that has an element: one number for each axis that tells sets apart; `null` where all are pooled. */
export function setOf({ axes, channels, groups }, shape, element) {
  return shape.map((length, axis) => {
    if (groups > 0 && axis === channels) return Math.floor(element[axis] / (length / groups));
    return axes.includes(axis) ? null : element[axis];
  });
}

/** The number of sets, and the number of elements of each. */
export function counts({ axes, channels, groups }, shape) {
  let [sets, elements] = [1, 1];
  shape.forEach((length, axis) => {
    const kept = groups > 0 && axis === channels ? groups : axes.includes(axis) ? 1 : length;
    sets *= kept;
    elements *= kept === 0 ? 0 : length / kept;
  });
  return { sets, elements };
}

/** The names of the axes, as the literature has them. */
export function axisNames(rank) {
  if (rank === 4) return ["N", "C", "H", "W"];
  if (rank === 5) return ["N", "C", "D", "H", "W"];
  return [...Array(rank).keys()].map((axis) => `axis ${axis}`);
}
