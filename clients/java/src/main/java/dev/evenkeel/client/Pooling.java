package dev.evenkeel.client;

import dev.evenkeel.v1.NormalizeRequest;
import java.util.BitSet;
import java.util.List;
import java.util.stream.IntStream;

/** The sets of elements that a normalization pools, if the server takes its options. */
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
    return 2 * width * Shapes.size(sets(request, input.shape()));
  }

  /** The axes that are pooled, in ascending order. */
  static List<Integer> axes(NormalizeRequest request, int rank) {
    return pooled(request, rank).stream().boxed().toList();
  }

  /** The shape of the sets: the tensor's without the pooled axes, with groups for the channels. */
  static long[] sets(NormalizeRequest request, long[] shape) {
    BitSet pooled = pooled(request, shape.length);
    int channel = channel(request, shape.length);
    return IntStream.range(0, shape.length)
        .filter(axis -> !pooled.get(axis) || grouped(request) && axis == channel)
        .mapToLong(
            axis ->
                grouped(request) && axis == channel
                    ? Integer.toUnsignedLong(request.getGroups())
                    : shape[axis])
        .toArray();
  }

  /** Whether the kind subtracts a mean. */
  static boolean hasMean(NormalizeRequest request) {
    return switch (request.getKind()) {
      case NORM_KIND_RMS, NORM_KIND_L2 -> false;
      default -> true;
    };
  }

  private static boolean grouped(NormalizeRequest request) {
    return request.getKind() == dev.evenkeel.v1.NormKind.NORM_KIND_GROUP;
  }

  private static int channel(NormalizeRequest request, int rank) {
    return wrapped(request.hasChannelAxis() ? request.getChannelAxis() : 1, rank);
  }

  private static BitSet pooled(NormalizeRequest request, int rank) {
    BitSet pooled = new BitSet();
    int channel = channel(request, rank);
    if (request.getAxesCount() > 0) {
      request.getAxesList().forEach(axis -> pooled.set(wrapped(axis, rank)));
    } else {
      switch (request.getKind()) {
        case NORM_KIND_BATCH -> {
          pooled.set(0, rank);
          pooled.clear(channel);
        }
        case NORM_KIND_INSTANCE -> {
          pooled.set(Math.min(1, rank), rank);
          pooled.clear(channel);
        }
        case NORM_KIND_GROUP -> pooled.set(Math.min(1, rank), rank);
        case NORM_KIND_LAYER, NORM_KIND_RMS ->
            pooled.set(rank > 3 ? 1 : Math.max(rank - 1, 0), rank);
        default -> pooled.set(Math.max(Math.min(1, rank - 1), 0));
      }
    }
    if (grouped(request)) {
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
