package dev.evenkeel.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.math.BigInteger;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

class KeepMaskTest {
  /** From NumPy: Philox(key=42).random_raw(8).view("&lt;u4") &gt;= ceil(0.3 * 2**32). */
  private static final String NUMPY = "1110111111110000";

  private static String text(boolean[] keep) {
    StringBuilder text = new StringBuilder();
    for (boolean each : keep) {
      text.append(each ? '1' : '0');
    }
    return text.toString();
  }

  @Test
  void drawsAreThoseOfNumpy() {
    assertEquals(NUMPY, text(KeepMask.of(42, 16, 0.3, 0)));
  }

  @Test
  void slicesJoinToTheWhole() {
    boolean[] whole = KeepMask.of(-7, 100, 0.5, 1L << 40);
    for (int at = 0; at < 30; at++) {
      boolean[] slice = KeepMask.of(-7, 100 - at, 0.5, (1L << 40) + at);
      assertArrayEquals(Arrays.copyOfRange(whole, at, 100), slice);
    }
  }

  @Test
  void theEndsOfPAreExact() {
    assertEquals("1111111111", text(KeepMask.of(1, 10, 0, 0)));
    assertEquals("0000000000", text(KeepMask.of(1, 10, 1, 0)));
  }

  @Test
  void argumentsAreChecked() {
    BigInteger beyond = BigInteger.ONE.shiftLeft(64);
    assertThrows(
        InvalidArgumentException.class, () -> KeepMask.of(beyond, 1, 0.5, BigInteger.ZERO));
    assertThrows(
        InvalidArgumentException.class,
        () -> KeepMask.of(BigInteger.ZERO, 1, 0.5, beyond.negate()));
    assertThrows(InvalidArgumentException.class, () -> KeepMask.of(0, -1, 0.5, 0));
    assertThrows(InvalidArgumentException.class, () -> KeepMask.of(0, 1, Double.NaN, 0));
    assertThrows(InvalidArgumentException.class, () -> KeepMask.of(0, 2, 0.5, -1));
    assertEquals(1, KeepMask.of(0, 1, 0.5, -1).length);
  }
}
