package dev.evenkeel.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigDecimal;
import java.math.MathContext;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SmallFloatsTest {
  @ParameterizedTest
  @CsvSource({
    "0x0p0, 0000", "-0x0p0, 8000", "0x1p0, 3C00", "-0x1p1, C000", "0x1.ffcp15, 7BFF",
    "0x1.ffdffp15, 7BFF", "0x1.ffep15, 7C00", "0x1p-24, 0001", "0x1p-25, 0000", "0x1.8p-25, 0001",
    "0x1.8p-24, 0002", "0x1p-14, 0400", "0x1.002p0, 3C00", "0x1.006p0, 3C02",
        "0x1.0020000001p0, 3C01",
    "0x1p-1074, 0000", "0x1.ff8p-15, 03FF", "0x1.ffep-15, 0400"
  })
  void float16IsNearestAndEven(String number, String bits) {
    assertEquals(
        Integer.parseInt(bits, 16), SmallFloats.toFloat16(Double.parseDouble(number)) & 0xFFFF);
  }

  @ParameterizedTest
  @CsvSource({
    "0x1p0, 3F80", "0x1.01p0, 3F80", "0x1.03p0, 3F82", "0x1.0100001p0, 3F81", "0x1.fep127, 7F7F",
    "0x1.ffp127, 7F80", "-0x1.ffp127, FF80", "0x1p-133, 0001", "0x1p-134, 0000", "0x1p1000, 7F80"
  })
  void bfloat16IsNearestAndEven(String number, String bits) {
    assertEquals(
        Integer.parseInt(bits, 16), SmallFloats.toBfloat16(Double.parseDouble(number)) & 0xFFFF);
  }

  @Test
  void allBitsComeBack() {
    for (int bits = 0; bits < 0x10000; bits++) {
      float half = SmallFloats.fromFloat16((short) bits);
      float brain = SmallFloats.fromBfloat16((short) bits);
      if (Float.isNaN(half)) {
        assertEquals(bits | 0x200, SmallFloats.toFloat16(half) & 0xFFFF);
      } else {
        assertEquals(bits, SmallFloats.toFloat16(half) & 0xFFFF);
      }
      if (Float.isNaN(brain)) {
        assertEquals(bits | 0x40, SmallFloats.toBfloat16(brain) & 0xFFFF);
      } else {
        assertEquals(bits, SmallFloats.toBfloat16(brain) & 0xFFFF);
      }
    }
  }

  /** Between two neighbours everything goes to the nearer one, by arithmetic in decimal numbers. */
  @Test
  void betweenNeighboursTheNearerIsTaken() {
    for (int bits = 1; bits < 0x7BFF; bits += 37) {
      BigDecimal low = new BigDecimal(SmallFloats.fromFloat16((short) bits));
      BigDecimal high = new BigDecimal(SmallFloats.fromFloat16((short) (bits + 1)));
      BigDecimal middle = low.add(high).divide(BigDecimal.valueOf(2), MathContext.UNLIMITED);
      double half = middle.doubleValue();
      assertEquals(bits + (bits & 1), SmallFloats.toFloat16(half));
      assertEquals(bits, SmallFloats.toFloat16(Math.nextDown(half)));
      assertEquals(bits + 1, SmallFloats.toFloat16(Math.nextUp(half)));
    }
  }

  @Test
  void nanIsQuiet() {
    assertEquals(0x7E00, SmallFloats.toFloat16(Double.NaN));
    assertEquals(0x7FC0, SmallFloats.toBfloat16(Double.NaN));
    assertTrue(Float.isNaN(SmallFloats.fromFloat16((short) 0x7E00)));
  }
}
