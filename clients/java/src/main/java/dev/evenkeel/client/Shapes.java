package dev.evenkeel.client;

import java.util.Arrays;
import java.util.stream.LongStream;

/** Checks of the dimensions of tensors. */
final class Shapes {
  private static final int MAX_RANK = 64;

  private Shapes() {}

  /** Throws if a tensor of so many elements cannot have this shape. */
  static void check(long[] shape, int elements) {
    if (shape.length > MAX_RANK) {
      String reason = "expected at most " + MAX_RANK + " dimensions, got " + shape.length;
      throw InvalidArgumentException.of("shape", reason);
    }
    if (LongStream.of(shape).anyMatch(dimension -> dimension < 0)) {
      String reason = "expected no negative dimension, got " + Arrays.toString(shape);
      throw InvalidArgumentException.of("shape", reason);
    }
    if (size(shape) != elements) {
      String reason =
          "does not fit the data: " + Arrays.toString(shape) + " for " + elements + " elements";
      throw InvalidArgumentException.of("shape", reason);
    }
  }

  /** The number of elements of a shape; the largest long where it is larger. */
  static long size(long[] shape) {
    if (LongStream.of(shape).anyMatch(dimension -> dimension == 0)) {
      return 0;
    }
    long size = 1;
    for (long dimension : shape) {
      long high = Math.multiplyHigh(size, dimension);
      size = high == 0 && size * dimension > 0 ? size * dimension : Long.MAX_VALUE;
    }
    return size;
  }
}
