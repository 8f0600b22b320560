package dev.evenkeel.client;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import java.math.BigInteger;

/**
 * The exact norm of some elements, in a form that merges without rounding: any order, any grouping
 * and any split of the gradients over servers give the same norm, to the last bit. Made by {@link
 * Client#measureGradients}; {@link #toBytes} and {@link #fromBytes} pass it between programs of all
 * languages.
 */
public final class NormPartial {
  private final double normType;
  private final long elements;
  private final long nanElements;
  private final long infiniteElements;
  private final double largest;

  /** In units of 2^-2148. */
  private final BigInteger sum;

  private NormPartial(
      double normType,
      long elements,
      long nanElements,
      long infiniteElements,
      double largest,
      BigInteger sum) {
    this.normType = normType;
    this.elements = elements;
    this.nanElements = nanElements;
    this.infiniteElements = infiniteElements;
    this.largest = largest;
    this.sum = sum;
  }

  /**
   * The partial with the elements of another as well.
   *
   * @param other a partial of the same order
   * @return the merged partial
   * @throws InvalidArgumentException if it is of another order, or if they have more than 2^59
   *     elements together
   */
  public NormPartial merge(NormPartial other) {
    if (normType != other.normType) {
      throw InvalidArgumentException.of(
          "norm_type", "expected " + normType + ", got " + other.normType);
    }
    if (elements + other.elements > Exact.MAX_ELEMENTS) {
      throw InvalidArgumentException.of("elements", "expected no more than 2^59 together");
    }
    return new NormPartial(
        normType,
        elements + other.elements,
        nanElements + other.nanElements,
        infiniteElements + other.infiniteElements,
        Math.max(largest, other.largest),
        sum.add(other.sum));
  }

  /**
   * {@return the norm over all elements, rounded once, for {@link ClipGradients#totalNorm}} NaN if
   * an element is NaN, else infinite if one is.
   */
  public double totalNorm() {
    if (nanElements > 0) {
      return Double.NaN;
    }
    if (infiniteElements > 0) {
      return Double.POSITIVE_INFINITY;
    }
    if (normType == 2) {
      return Exact.squareRoot(sum);
    }
    return normType == 1 ? Exact.toDouble(sum) : largest;
  }

  /** {@return the order of the norm: 1, 2 or infinity} */
  public double normType() {
    return normType;
  }

  /** {@return how many elements were measured, finite or not} */
  public long elements() {
    return elements;
  }

  /** {@return how many elements are NaN} */
  public long nanElements() {
    return nanElements;
  }

  /** {@return how many elements are infinite} */
  public long infiniteElements() {
    return infiniteElements;
  }

  /** {@return the protobuf message {@code evenkeel.v1.NormPartial}, at most some 600 bytes} */
  public byte[] toBytes() {
    return toWire().toByteArray();
  }

  /**
   * Reads the bytes that {@link #toBytes} writes.
   *
   * @param bytes the message
   * @return the partial
   * @throws InvalidArgumentException for bytes that no elements have
   */
  public static NormPartial fromBytes(byte[] bytes) {
    try {
      return of(dev.evenkeel.v1.NormPartial.parseFrom(bytes));
    } catch (InvalidProtocolBufferException error) {
      throw InvalidArgumentException.of("bytes", "are no NormPartial: " + error.getMessage());
    }
  }

  dev.evenkeel.v1.NormPartial toWire() {
    return dev.evenkeel.v1.NormPartial.newBuilder()
        .setNormType(normType)
        .setElements(elements)
        .setNanElements(nanElements)
        .setInfiniteElements(infiniteElements)
        .setLargest(largest)
        .setSum(ByteString.copyFrom(Exact.toBytes(sum)))
        .build();
  }

  static NormPartial of(dev.evenkeel.v1.NormPartial wire) {
    double order = wire.getNormType();
    boolean isInfinity = order == Double.POSITIVE_INFINITY;
    check(
        "norm_type",
        order == 1 || order == 2 || isInfinity,
        "expected 1, 2 or infinity, got " + order);
    long elements = wire.getElements();
    check(
        "elements", elements >= 0 && elements <= Exact.MAX_ELEMENTS, "expected no more than 2^59");
    long nan = wire.getNanElements();
    long infinite = wire.getInfiniteElements();
    boolean counted = nan >= 0 && infinite >= 0 && nan <= elements && infinite <= elements - nan;
    check(
        "elements",
        counted,
        "expected at least as many as nan_elements and infinite_elements together");
    long finite = elements - nan - infinite;
    double largest = wire.getLargest();
    boolean possible =
        largest >= 0
            && largest < Double.POSITIVE_INFINITY
            && (largest == 0 || isInfinity && finite > 0);
    check(
        "largest",
        possible,
        "expected a finite number, above 0 only with norm_type infinity, got " + largest);
    BigInteger sum = Exact.fromBytes(wire.getSum());
    check(
        "sum",
        sum.bitLength() <= Exact.MAX_BYTES * 8,
        "expected at most " + Exact.MAX_BYTES + " bytes");
    check("sum", !isInfinity || sum.signum() == 0, "expected none with norm_type infinity");
    check(
        "sum",
        order != 1 || Exact.isOfElements(sum),
        "expected a multiple of 2^1074 with norm_type 1");
    int bits = order == 1 ? Exact.ELEMENT_BITS : Exact.PRODUCT_BITS;
    check(
        "sum",
        Exact.isBelow(sum, finite, bits),
        "expected no more than the finite elements can add up to");
    return new NormPartial(order, elements, nan, infinite, Math.abs(largest), sum);
  }

  private static void check(String field, boolean fits, String description) {
    if (!fits) {
      throw InvalidArgumentException.of(field, description);
    }
  }
}
