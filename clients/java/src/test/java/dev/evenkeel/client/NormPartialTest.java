package dev.evenkeel.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.protobuf.ByteString;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.Random;
import org.junit.jupiter.api.Test;

class NormPartialTest {
  /** The partial of order 2 of some finite elements, by decimal arithmetic. */
  private static NormPartial ofSquares(double... elements) {
    BigDecimal sum = BigDecimal.ZERO;
    for (double element : elements) {
      sum = sum.add(new BigDecimal(element).pow(2));
    }
    BigInteger units = sum.multiply(new BigDecimal(BigInteger.TWO.pow(2148))).toBigIntegerExact();
    return NormPartial.of(message(2, elements.length, units).build());
  }

  private static dev.evenkeel.v1.NormPartial.Builder message(
      double order, long elements, BigInteger sum) {
    return dev.evenkeel.v1.NormPartial.newBuilder()
        .setNormType(order)
        .setElements(elements)
        .setSum(ByteString.copyFrom(Exact.toBytes(sum)));
  }

  private static void refused(String field, dev.evenkeel.v1.NormPartial.Builder message) {
    byte[] bytes = message.build().toByteArray();
    InvalidArgumentException error =
        assertThrows(InvalidArgumentException.class, () -> NormPartial.fromBytes(bytes));
    assertEquals(field, error.fields().get(0).path());
  }

  @Test
  void normsAreRoundedOnce() {
    assertEquals(5, ofSquares(3).merge(ofSquares(4)).totalNorm());
    assertEquals(0, ofSquares().totalNorm());
    assertEquals(Double.MIN_VALUE, ofSquares(Double.MIN_VALUE).totalNorm());
    assertEquals(Double.MAX_VALUE, ofSquares(Double.MAX_VALUE, 1).totalNorm());
    assertEquals(
        Double.POSITIVE_INFINITY, ofSquares(Double.MAX_VALUE, Double.MAX_VALUE).totalNorm());
    assertEquals(1, ofSquares(1, 1e-20).totalNorm());
    assertEquals(
        Math.nextUp(1.0),
        ofSquares(1, 0x1.8p-26).totalNorm(),
        "above the middle between two numbers");
  }

  /** The root is nearest if its square lies between those of the middles around it. */
  @Test
  void rootsAreNearest() {
    Random random = new Random(7);
    for (int i = 0; i < 300; i++) {
      BigInteger sum = new BigInteger(2200 + random.nextInt(1900), random).setBit(2190);
      double root = Exact.squareRoot(sum);
      BigDecimal unit = new BigDecimal(BigInteger.TWO.pow(2148));
      BigDecimal below = middle(Math.nextDown(root), root).pow(2).multiply(unit);
      BigDecimal above = middle(root, Math.nextUp(root)).pow(2).multiply(unit);
      assertEquals(-1, below.compareTo(new BigDecimal(sum)));
      assertEquals(1, above.compareTo(new BigDecimal(sum)));
    }
  }

  private static BigDecimal middle(double low, double high) {
    return new BigDecimal(low).add(new BigDecimal(high)).divide(BigDecimal.valueOf(2));
  }

  @Test
  void sumsOfOrderOneAreRoundedOnce() {
    BigInteger one = BigInteger.TWO.pow(2148);
    assertEquals(1, NormPartial.of(message(1, 2, one.add(one.shiftRight(53))).build()).totalNorm());
    BigInteger more = one.add(one.shiftRight(53)).add(one.shiftRight(60));
    assertEquals(Math.nextUp(1.0), NormPartial.of(message(1, 3, more).build()).totalNorm());
    BigInteger smallest = BigInteger.TWO.pow(1074);
    assertEquals(
        3 * Double.MIN_VALUE,
        NormPartial.of(message(1, 3, smallest.multiply(BigInteger.valueOf(3))).build())
            .totalNorm());
  }

  @Test
  void whatIsNotFiniteIsCounted() {
    NormPartial nan =
        NormPartial.of(
            message(2, 3, BigInteger.ONE).setNanElements(1).setInfiniteElements(1).build());
    NormPartial infinite =
        NormPartial.of(message(2, 1, BigInteger.ZERO).setInfiniteElements(1).build());
    assertEquals(Double.NaN, nan.totalNorm());
    assertEquals(Double.POSITIVE_INFINITY, infinite.totalNorm());
    NormPartial both = nan.merge(infinite);
    assertEquals(4, both.elements());
    assertEquals(1, both.nanElements());
    assertEquals(2, both.infiniteElements());
  }

  @Test
  void bytesComeBack() {
    NormPartial partial = ofSquares(1e-300, 3.5, -1e200);
    assertArrayEquals(partial.toBytes(), NormPartial.fromBytes(partial.toBytes()).toBytes());
    NormPartial largest =
        NormPartial.of(message(Double.POSITIVE_INFINITY, 2, BigInteger.ZERO).setLargest(7).build());
    assertEquals(7, NormPartial.fromBytes(largest.toBytes()).totalNorm());
  }

  @Test
  void whatNoElementsHaveIsRefused() {
    BigInteger one = BigInteger.ONE;
    refused("norm_type", message(3, 1, one));
    refused("elements", message(2, (1L << 59) + 1, one));
    refused("elements", message(2, -1, one));
    refused("elements", message(2, 1, one).setNanElements(1).setInfiniteElements(1));
    refused("largest", message(2, 1, one).setLargest(1));
    refused(
        "largest", message(Double.POSITIVE_INFINITY, 1, BigInteger.ZERO).setLargest(Double.NaN));
    refused("largest", message(Double.POSITIVE_INFINITY, 1, BigInteger.ZERO).setLargest(-1));
    refused("sum", message(2, 1, one.shiftLeft(2148 + 2048)));
    refused("sum", message(1, 1, one));
    refused("sum", message(Double.POSITIVE_INFINITY, 1, one));
    refused("sum", message(2, 1, one.shiftLeft(8 * 532)));
    assertThrows(InvalidArgumentException.class, () -> NormPartial.fromBytes(new byte[] {-1, -1}));
    NormPartial largest =
        NormPartial.of(message(Double.POSITIVE_INFINITY, 0, BigInteger.ZERO).build());
    assertThrows(InvalidArgumentException.class, () -> ofSquares(1).merge(largest));
    NormPartial many = NormPartial.of(message(2, 1L << 59, one).build());
    assertThrows(InvalidArgumentException.class, () -> many.merge(ofSquares(1)));
  }
}
