package dev.evenkeel.client;

import com.google.protobuf.ByteString;
import dev.evenkeel.v1.ExactSum;
import dev.evenkeel.v1.SetStatistics;
import java.math.BigInteger;

/**
 * The counts and exact sums of the elements of a set, in units of 2^-2148.
 *
 * @param counts the elements; those that are NaN, positive and negative infinity; the gradients
 *     that are not finite
 * @param sum the sum of the finite elements
 * @param squares the sum of their squares
 * @param gradients the sum of the finite gradients; null: none were measured
 * @param products the sum of the products of elements and gradients; null: none were measured
 */
record SetSums(
    Counts counts, BigInteger sum, BigInteger squares, BigInteger gradients, BigInteger products) {
  /** How many elements there are, of which kinds. */
  record Counts(
      long elements, long nan, long infinite, long negativeInfinite, long nonfiniteGradients) {
    Counts plus(Counts other) {
      return new Counts(
          elements + other.elements,
          nan + other.nan,
          infinite + other.infinite,
          negativeInfinite + other.negativeInfinite,
          nonfiniteGradients + other.nonfiniteGradients);
    }
  }

  boolean hasGradients() {
    return gradients != null;
  }

  SetSums plus(SetSums other) {
    return new SetSums(
        counts.plus(other.counts),
        sum.add(other.sum),
        squares.add(other.squares),
        hasGradients() ? gradients.add(other.gradients) : null,
        hasGradients() ? products.add(other.products) : null);
  }

  SetStatistics toWire() {
    SetStatistics.Builder set =
        SetStatistics.newBuilder()
            .setElements(counts.elements)
            .setNanElements(counts.nan)
            .setInfiniteElements(counts.infinite)
            .setNegativeInfiniteElements(counts.negativeInfinite)
            .setNonfiniteGradients(counts.nonfiniteGradients);
    if (sum.signum() != 0) {
      set.setSum(toWire(sum));
    }
    if (squares.signum() != 0) {
      set.setSumOfSquares(toWire(squares));
    }
    if (hasGradients()) {
      set.setSumOfGradients(toWire(gradients)).setSumOfProducts(toWire(products));
    }
    return set.build();
  }

  private static ExactSum toWire(BigInteger number) {
    BigInteger magnitude = number.abs();
    int zeros = Math.max(magnitude.getLowestSetBit(), 0) / 8;
    return ExactSum.newBuilder()
        .setNegative(number.signum() < 0)
        .setLowZeroBytes(zeros)
        .setMagnitude(ByteString.copyFrom(Exact.toBytes(magnitude.shiftRight(8 * zeros))))
        .build();
  }

  /** Reads a set at this path of a message. */
  static SetSums of(String path, SetStatistics wire) {
    boolean measured = wire.hasSumOfGradients();
    check(
        path + ".sum_of_products",
        measured || !wire.hasSumOfProducts(),
        "expected none without sum_of_gradients");
    boolean noneCounted = wire.getNonfiniteGradients() == 0;
    check(
        path + ".nonfinite_gradients",
        measured || noneCounted,
        "expected 0 without sum_of_gradients");
    SetSums set =
        new SetSums(
            new Counts(
                wire.getElements(),
                wire.getNanElements(),
                wire.getInfiniteElements(),
                wire.getNegativeInfiniteElements(),
                wire.getNonfiniteGradients()),
            number(path + ".sum", wire.getSum()),
            number(path + ".sum_of_squares", wire.getSumOfSquares()),
            measured ? number(path + ".sum_of_gradients", wire.getSumOfGradients()) : null,
            measured ? number(path + ".sum_of_products", wire.getSumOfProducts()) : null);
    set.check(path);
    return set;
  }

  private static BigInteger number(String path, ExactSum wire) {
    BigInteger magnitude = Exact.fromBytes(wire.getMagnitude());
    long zeros = Integer.toUnsignedLong(wire.getLowZeroBytes());
    boolean fits =
        magnitude.signum() == 0 || (magnitude.bitLength() + 7) / 8 + zeros <= Exact.MAX_BYTES;
    check(
        path + ".magnitude",
        fits,
        "expected at most " + Exact.MAX_BYTES + " bytes, with the zero bytes");
    BigInteger number =
        magnitude.signum() == 0 ? magnitude : magnitude.shiftLeft((int) (8 * zeros));
    return wire.getNegative() ? number.negate() : number;
  }

  /** Throws if no elements have this set. */
  private void check(String path) {
    long elements = counts.elements;
    check(
        path + ".elements",
        elements >= 0 && elements <= Exact.MAX_ELEMENTS,
        "expected no more than 2^59");
    long special = saturated(saturated(counts.nan, counts.infinite), counts.negativeInfinite);
    check(
        path + ".elements",
        special <= elements,
        "expected at least as many as those that are NaN or infinite");
    long finite = elements - special;
    check(
        path + ".sum",
        Exact.isBelow(sum, finite, Exact.ELEMENT_BITS),
        "expected no more than the elements can add up to");
    check(
        path + ".sum",
        Exact.isOfElements(sum),
        "expected a multiple of 2^1074 units, as every float64 is");
    check(path + ".sum_of_squares", squares.signum() >= 0, "expected a sum that is not negative");
    boolean squaresFit = Exact.isBelow(squares, finite, Exact.PRODUCT_BITS);
    check(path + ".sum_of_squares", squaresFit, "expected no more than the squares can add up to");
    // Cauchy and Schwarz: the square of the sum, in units of 2^-4296, is at most n times the sum of
    // the squares.
    BigInteger most =
        BigInteger.valueOf(finite).multiply(squares).shiftLeft(2 * Exact.ELEMENT_UNIT_BITS);
    boolean enough = sum.multiply(sum).compareTo(most) <= 0;
    check(
        path + ".sum_of_squares",
        enough,
        "expected at least the square of sum divided by the number of elements");
    if (hasGradients()) {
      long nonfinite = counts.nonfiniteGradients;
      check(
          path + ".nonfinite_gradients",
          nonfinite >= 0 && nonfinite <= elements,
          "expected no more than elements");
      long finiteGradients = elements - nonfinite;
      boolean gradientsFit = Exact.isBelow(gradients, finiteGradients, Exact.ELEMENT_BITS);
      check(
          path + ".sum_of_gradients",
          gradientsFit,
          "expected no more than the gradients can add up to");
      check(
          path + ".sum_of_gradients",
          Exact.isOfElements(gradients),
          "expected a multiple of 2^1074 units");
      boolean productsFit =
          Exact.isBelow(products, Math.min(finite, finiteGradients), Exact.PRODUCT_BITS);
      check(
          path + ".sum_of_products",
          productsFit,
          "expected no more than the products can add up to");
      boolean ofZeros = squares.signum() == 0 && products.signum() != 0;
      check(path + ".sum_of_products", !ofZeros, "expected 0, since sum_of_squares is 0");
    }
  }

  /** The sum of two counts, each unsigned, or the largest long. */
  private static long saturated(long a, long b) {
    return a < 0 || b < 0 || a + b < 0 ? Long.MAX_VALUE : a + b;
  }

  static void check(String path, boolean fits, String description) {
    if (!fits) {
      throw InvalidArgumentException.of(path, description);
    }
  }
}
