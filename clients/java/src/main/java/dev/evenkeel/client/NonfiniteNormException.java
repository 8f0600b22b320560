package dev.evenkeel.client;

import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/** A norm is NaN or infinite, and {@code errorIfNonfinite} is set. Nothing was clipped. */
public final class NonfiniteNormException extends EvenkeelException {
  private static final long serialVersionUID = 1L;

  /** The norm. */
  private final double totalNorm;

  /** How many elements are NaN. */
  private final long nanElements;

  /** How many elements are infinite. */
  private final long infiniteElements;

  /** How many gradients have such elements. */
  private final long nonfiniteGradients;

  /** The first gradients, by their index. */
  private final TreeMap<Integer, String> gradients;

  NonfiniteNormException(Fault fault, Map<String, String> metadata) {
    super(fault);
    this.totalNorm = parseNorm(metadata.getOrDefault("total_norm", "NaN"));
    this.nanElements = count(metadata, "nan_elements");
    this.infiniteElements = count(metadata, "infinite_elements");
    this.nonfiniteGradients = count(metadata, "nonfinite_gradients");
    this.gradients = new TreeMap<>();
    metadata.forEach(
        (key, name) -> {
          if (key.matches("gradient_\\d{1,9}")) {
            gradients.put(Integer.valueOf(key.substring("gradient_".length())), name);
          }
        });
  }

  private NonfiniteNormException(NonfiniteNormException other, int index) {
    super(
        new Fault(other.code(), other.getMessage(), other.reason().orElse(null), other.getCause()));
    this.totalNorm = other.totalNorm;
    this.nanElements = other.nanElements;
    this.infiniteElements = other.infiniteElements;
    this.nonfiniteGradients = other.nonfiniteGradients;
    this.gradients = new TreeMap<>();
    other.gradients.values().forEach(name -> gradients.put(index, name));
  }

  /** The error of a call with one gradient, as one of all. */
  NonfiniteNormException ofGradient(int index) {
    return new NonfiniteNormException(this, index);
  }

  private static double parseNorm(String text) {
    return switch (text) {
      case "inf", "Infinity" -> Double.POSITIVE_INFINITY;
      case "NaN", "nan" -> Double.NaN;
      default -> Double.parseDouble(text);
    };
  }

  private static long count(Map<String, String> metadata, String key) {
    return Long.parseUnsignedLong(metadata.getOrDefault(key, "0"));
  }

  /** {@return the norm: NaN or infinite} */
  public double totalNorm() {
    return totalNorm;
  }

  /** {@return how many elements are NaN} */
  public long nanElements() {
    return nanElements;
  }

  /** {@return how many elements are infinite} */
  public long infiniteElements() {
    return infiniteElements;
  }

  /** {@return how many gradients have such elements} */
  public long nonfiniteGradients() {
    return nonfiniteGradients;
  }

  /**
   * {@return the first of these gradients, 16 at most: index and name, which the server shortens to
   * 64 bytes}
   */
  public SortedMap<Integer, String> gradients() {
    return new TreeMap<>(gradients);
  }
}
