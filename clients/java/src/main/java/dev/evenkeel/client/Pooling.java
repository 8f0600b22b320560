package dev.evenkeel.client;

import dev.evenkeel.v1.NormalizeRequest;
import java.util.BitSet;

/** How many sets of elements a normalization pools. */
final class Pooling {
  private Pooling() {}

  /**
   * At most so many bytes of the response are mean and rstd; 0 for options that the server refuses.
   */
  static long statisticsBytes(NormalizeRequest request, Tensor input) {
    if (!request.getReturnStatistics()) {
      return 0;
    }
    int width = input.dtype() == DType.FLOAT64 ? Double.BYTES : Float.BYTES;
    return 2 * width * sets(request, input.shape());
  }

  static long sets(NormalizeRequest request, long[] shape) {
    BitSet pooled = pooled(request, shape.length);
    long sets = request.getGroups() > 0 ? request.getGroups() : 1;
    for (int axis = 0; axis < shape.length; axis++) {
      sets *= pooled.get(axis) ? 1 : shape[axis];
    }
    return Math.max(sets, 0);
  }

  private static BitSet pooled(NormalizeRequest request, int rank) {
    BitSet pooled = new BitSet();
    int channel = wrapped(request.hasChannelAxis() ? request.getChannelAxis() : 1, rank);
    boolean grouped = request.getKind() == dev.evenkeel.v1.NormKind.NORM_KIND_GROUP;
    if (request.getAxesCount() > 0) {
      request.getAxesList().forEach(axis -> pooled.set(wrapped(axis, rank)));
    } else {
      switch (request.getKind()) {
        case NORM_KIND_BATCH -> pooled.set(0, rank);
        case NORM_KIND_INSTANCE, NORM_KIND_GROUP -> pooled.set(Math.min(1, rank), rank);
        case NORM_KIND_LAYER, NORM_KIND_RMS ->
            pooled.set(rank > 3 ? 1 : Math.max(rank - 1, 0), rank);
        default -> pooled.set(Math.max(Math.min(1, rank - 1), 0));
      }
      pooled.set(channel, grouped);
    }
    if (grouped) {
      pooled.set(channel);
    }
    return pooled;
  }

  /**
   * The axis counted from the start; one that does not exist is some other, which the server
   * refuses.
   */
  private static int wrapped(int axis, int rank) {
    return Math.floorMod(axis, Math.max(rank, 1));
  }
}
