package dev.evenkeel.client;

/**
 * Conversions of float16 and bfloat16, which Java 17 does not have: from float64, in which every
 * element of the other types is exact, with one rounding, to nearest, ties to even.
 */
final class SmallFloats {
  private static final int DOUBLE_FRACTION = 52;
  private static final int DOUBLE_BIAS = 1023;
  private static final long FRACTION_MASK = (1L << DOUBLE_FRACTION) - 1;

  private SmallFloats() {}

  static short toFloat16(double x) {
    return round(x, 10, 15);
  }

  static short toBfloat16(double x) {
    return round(x, 7, 127);
  }

  static float fromFloat16(short bits) {
    int sign = (bits & 0x8000) << 16;
    int exponent = bits >>> 10 & 0x1F;
    int fraction = bits & 0x3FF;
    if (exponent == 0x1F) {
      return Float.intBitsToFloat(sign | 0x7F80_0000 | fraction << 13);
    }
    if (exponent == 0) {
      float magnitude = fraction * 0x1p-24f;
      return sign == 0 ? magnitude : -magnitude;
    }
    return Float.intBitsToFloat(sign | exponent + 127 - 15 << 23 | fraction << 13);
  }

  static float fromBfloat16(short bits) {
    return Float.intBitsToFloat(bits << 16);
  }

  /**
   * The bits of the nearest number with a fraction of so many bits and this bias of the exponent,
   * in 16 bits.
   */
  private static short round(double x, int fractionBits, int bias) {
    long bits = Double.doubleToRawLongBits(x);
    int sign = (int) (bits >>> 48) & 0x8000;
    int infinity = 2 * bias + 1 << fractionBits;
    long fraction = bits & FRACTION_MASK;
    int biased = (int) (bits >>> DOUBLE_FRACTION) & 0x7FF;
    if (biased == 0x7FF) {
      // A NaN keeps its sign and what there is room for of its payload, and is quiet.
      int payload = (int) (fraction >>> DOUBLE_FRACTION - fractionBits);
      return (short) (sign | infinity | (fraction == 0 ? 0 : payload | 1 << fractionBits - 1));
    }
    int exponent = biased - DOUBLE_BIAS;
    int least = 1 - bias;
    int shift = DOUBLE_FRACTION - fractionBits + Math.max(0, least - exponent);
    if (biased == 0 || shift > DOUBLE_FRACTION + 2) {
      return (short) sign; // less than half of the smallest number
    }
    long significand = fraction | 1L << DOUBLE_FRACTION;
    long kept = significand >>> shift;
    long rest = significand & (1L << shift) - 1;
    long half = 1L << shift - 1;
    if (rest > half || rest == half && (kept & 1) == 1) {
      kept++;
    }
    // The exponent lies above the fraction: adding the significand with its leading bit carries
    // into it where it must.
    long magnitude =
        exponent < least ? kept : ((long) (exponent + bias - 1) << fractionBits) + kept;
    return (short) (sign | (int) Math.min(magnitude, infinity));
  }
}
