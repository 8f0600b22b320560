package dev.evenkeel.client;

import com.google.protobuf.ByteString;
import java.math.BigInteger;

/** Whole numbers in units of 2^-2148, the square of the smallest float64 above 0. */
final class Exact {
  /** The most bytes of a number in a message. */
  static final int MAX_BYTES = 532;

  /** The most elements of a partial; a sum of so many squares has at most {@link #MAX_BYTES}. */
  static final long MAX_ELEMENTS = 1L << 59;

  /** No float64 reaches 2^1024. */
  static final int ELEMENT_BITS = 2148 + 1024;

  /** Nor a product of two 2^2048. */
  static final int PRODUCT_BITS = 2148 + 2048;

  /** Every float64 is a multiple of 2^-1074. */
  static final int ELEMENT_UNIT_BITS = 1074;

  private static final int FRACTION_BITS = 53;
  private static final int MOST_SHIFT = 2045;

  private Exact() {}

  /** The number in little-endian bytes. */
  static BigInteger fromBytes(ByteString bytes) {
    byte[] bigEndian = new byte[bytes.size()];
    for (int i = 0; i < bigEndian.length; i++) {
      bigEndian[i] = bytes.byteAt(bigEndian.length - 1 - i);
    }
    return new BigInteger(1, bigEndian);
  }

  /** The little-endian bytes of a number that is not negative, without zeros at the end. */
  static byte[] toBytes(BigInteger number) {
    byte[] bytes = new byte[(number.bitLength() + 7) / 8];
    byte[] bigEndian = number.toByteArray(); // may have a leading zero, for a sign
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = bigEndian[bigEndian.length - 1 - i];
    }
    return bytes;
  }

  /** Whether the absolute value is less than so many terms of so many bits can add up to. */
  static boolean isBelow(BigInteger number, long terms, int bits) {
    return number.signum() == 0
        || number.abs().compareTo(BigInteger.valueOf(terms).shiftLeft(bits)) < 0;
  }

  /** Whether it is a multiple of 2^1074, as all sums of float64 are. */
  static boolean isOfElements(BigInteger number) {
    return number.signum() == 0 || number.getLowestSetBit() >= ELEMENT_UNIT_BITS;
  }

  /** The nearest float64, ties to even, of a number that is not negative. */
  static double toDouble(BigInteger number) {
    // In units of 2^-1074 instead: the number is rounded to a multiple of this unit or of a larger
    // one.
    int shift = Math.max(number.bitLength() - ELEMENT_UNIT_BITS - FRACTION_BITS, 0);
    BigInteger unit = BigInteger.ONE.shiftLeft(ELEMENT_UNIT_BITS + shift);
    BigInteger[] parts = number.divideAndRemainder(unit);
    return assemble(parts[0].longValueExact(), shift, parts[1].shiftLeft(1).compareTo(unit));
  }

  /**
   * The float64 that is nearest to the square root, ties to even, of a number that is not negative.
   */
  static double squareRoot(BigInteger number) {
    BigInteger root = number.sqrt(); // rounded down, in units of 2^-1074, the root of the unit
    int shift = Math.max(root.bitLength() - FRACTION_BITS, 0);
    long significand = root.shiftRight(shift).longValueExact();
    // Which neighbour is nearer? Compare the number with the square of the middle between them,
    // both times 4.
    BigInteger middle = BigInteger.valueOf(2 * significand + 1).shiftLeft(shift);
    return assemble(significand, shift, number.shiftLeft(2).compareTo(middle.multiply(middle)));
  }

  /**
   * The float64 of significand * 2^(shift - 1074), one more where the rest is more than half, or is
   * half and it is odd.
   */
  private static double assemble(long significand, int shift, int restBesideHalf) {
    if (shift > MOST_SHIFT) {
      return Double.POSITIVE_INFINITY;
    }
    long rounded = significand;
    if (restBesideHalf > 0 || restBesideHalf == 0 && (significand & 1) == 1) {
      rounded++;
    }
    // The exponent lies above the fraction: adding the significand with its leading bit adds 1 to
    // it. So this is right for
    // subnormal numbers, and for a carry into the next power of two or into infinity.
    return Double.longBitsToDouble(((long) shift << 52) + rounded);
  }
}
