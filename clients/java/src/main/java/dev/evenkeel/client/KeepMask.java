package dev.evenkeel.client;

import java.math.BigInteger;

/**
 * The mask of a dropout, computed here: bit for bit as the server has it. Element i is kept if, and
 * only if, word i of NumPy's {@code Philox(key=seed)} is at least ceil(p * 2^32).
 */
public final class KeepMask {
  private static final int WORDS = 8;
  private static final int ROUNDS = 10;
  private static final long MULTIPLIER_0 = 0xD2E7470EE14C6C93L;
  private static final long MULTIPLIER_1 = 0xCA5A826395121157L;
  private static final long KEY_STEP_0 = 0x9E3779B97F4A7C15L;
  private static final long KEY_STEP_1 = 0xBB67AE8584CAA73BL;

  private KeepMask() {}

  /**
   * Which of some draws keep their elements.
   *
   * @param seed the key of the stream, unsigned
   * @param n the number of draws
   * @param p the probability that an element is dropped, in [0, 1]
   * @param offset the index of the first draw in the stream, unsigned
   * @return true where an element is kept
   * @throws InvalidArgumentException if n is negative, p is not in [0, 1], or the stream ends
   *     before the last draw
   */
  public static boolean[] of(long seed, int n, double p, long offset) {
    Arguments.notNegative("n", n);
    if (!(p >= 0 && p <= 1)) {
      throw InvalidArgumentException.of("p", "expected 0 to 1, got " + p);
    }
    if (n > 0 && Long.compareUnsigned(offset + n - 1, offset) < 0) {
      throw InvalidArgumentException.of("offset", "expected no draw after that of index 2^64 - 1");
    }
    long threshold = (long) Math.ceil(p * 0x1p32);
    boolean[] keep = new boolean[n];
    int[] words = new int[WORDS];
    int word = (int) (offset & WORDS - 1);
    long block = offset >>> 3;
    for (int i = 0; i < n; ) {
      fill(words, seed, block++);
      for (; word < WORDS && i < n; word++) {
        keep[i++] = Integer.toUnsignedLong(words[word]) >= threshold;
      }
      word = 0;
    }
    return keep;
  }

  /**
   * Which of some draws keep their elements.
   *
   * @param seed the key of the stream, from 0 to 2^64 - 1
   * @param n the number of draws
   * @param p the probability that an element is dropped, in [0, 1]
   * @param offset the index of the first draw in the stream, from 0 to 2^64 - 1
   * @return true where an element is kept
   * @throws InvalidArgumentException if an argument is outside of its range, or the stream ends
   *     before the last draw
   */
  public static boolean[] of(BigInteger seed, int n, double p, BigInteger offset) {
    return of(Arguments.unsigned("seed", seed), n, p, Arguments.unsigned("offset", offset));
  }

  /** The words of a block of the stream: Philox4x64-10. */
  private static void fill(int[] words, long seed, long block) {
    long c0 = block + 1; // NumPy increments the counter before it makes a block
    long c1 = 0;
    long c2 = 0;
    long c3 = 0;
    long key0 = seed;
    long key1 = 0;
    for (int round = 0; round < ROUNDS; round++) {
      long high0 = unsignedHigh(MULTIPLIER_0, c0);
      long high1 = unsignedHigh(MULTIPLIER_1, c2);
      long low0 = MULTIPLIER_0 * c0;
      long low1 = MULTIPLIER_1 * c2;
      c0 = high1 ^ c1 ^ key0;
      c1 = low1;
      c2 = high0 ^ c3 ^ key1;
      c3 = low0;
      key0 += KEY_STEP_0;
      key1 += KEY_STEP_1;
    }
    long[] counters = {c0, c1, c2, c3};
    for (int i = 0; i < WORDS; i++) {
      words[i] =
          (int) (counters[i / 2] >>> 32 * (i % 2)); // the low half of every number comes first
    }
  }

  /** The upper half of the unsigned product, which Math has from Java 18 on. */
  private static long unsignedHigh(long a, long b) {
    return Math.multiplyHigh(a, b) + (a >> 63 & b) + (b >> 63 & a);
  }
}
