package dev.evenkeel.client;

import com.google.protobuf.InvalidProtocolBufferException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.LongStream;

/**
 * The exact sums over the sets of a tensor, the elements that are pooled together, from which mean
 * and variance follow. Partials merge without rounding: any cut of the tensor into parts and any
 * order give the same statistics, to the last bit. Made by {@link Client#measureStatistics}; {@link
 * #toBytes} and {@link #fromBytes} pass it between programs of all languages.
 */
public final class StatisticsPartial {
  private final NormKind kind;
  private final long[] shape;
  private final List<SetSums> sets;

  private StatisticsPartial(NormKind kind, long[] shape, List<SetSums> sets) {
    this.kind = kind;
    this.shape = shape;
    this.sets = sets;
  }

  /**
   * The partial with the sets of another added to those of this one.
   *
   * @param other a partial of the same kind and shape
   * @return the merged partial
   * @throws InvalidArgumentException if they do not fit together
   */
  public StatisticsPartial merge(StatisticsPartial other) {
    SetSums.check("kind", kind == other.kind, "expected " + kind + ", got " + other.kind);
    boolean alike = Arrays.equals(shape, other.shape);
    SetSums.check("shape", alike, "expected the shape of the partial it is merged with");
    boolean both = hasGradients() == other.hasGradients();
    SetSums.check(
        "sets[0].sum_of_gradients", both, "expected in both of the partials or in neither");
    boolean few = elements() + other.elements() <= Exact.MAX_ELEMENTS;
    SetSums.check("sets[0].elements", few, "expected no more than 2^59 together");
    List<SetSums> merged = new ArrayList<>(sets.size());
    for (int i = 0; i < sets.size(); i++) {
      merged.add(sets.get(i).plus(other.sets.get(i)));
    }
    return new StatisticsPartial(kind, shape, merged);
  }

  /** {@return the normalization that the sets are pooled by} */
  public NormKind kind() {
    return kind;
  }

  /**
   * {@return the shape of the sets: the input's without the pooled axes; GROUP: with the number of
   * groups in place of the channels}
   */
  public long[] shape() {
    return shape.clone();
  }

  /** {@return how many elements each set has, in all parts} */
  public long elements() {
    return sets.isEmpty() ? 0 : sets.get(0).counts().elements();
  }

  /** {@return whether gradients were measured beside the elements; also if there are no sets} */
  public boolean hasGradients() {
    return sets.isEmpty() || sets.get(0).hasGradients();
  }

  /**
   * {@return the protobuf message {@code evenkeel.v1.StatisticsPartial}: for each set some 110
   * bytes for float32 elements}
   */
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
  public static StatisticsPartial fromBytes(byte[] bytes) {
    try {
      return of(dev.evenkeel.v1.StatisticsPartial.parseFrom(bytes));
    } catch (InvalidProtocolBufferException error) {
      throw InvalidArgumentException.of("bytes", "are no StatisticsPartial: " + error.getMessage());
    }
  }

  dev.evenkeel.v1.StatisticsPartial toWire() {
    return dev.evenkeel.v1.StatisticsPartial.newBuilder()
        .setKind(kind.wire())
        .addAllShape(LongStream.of(shape).boxed().toList())
        .addAllSets(sets.stream().map(SetSums::toWire).toList())
        .build();
  }

  static StatisticsPartial of(dev.evenkeel.v1.StatisticsPartial wire) {
    NormKind kind = NormKind.of(wire.getKind());
    SetSums.check("kind", kind != null, wire.getKindValue() + " is no kind");
    long[] shape = wire.getShapeList().stream().mapToLong(Long::longValue).toArray();
    SetSums.check(
        "shape",
        LongStream.of(shape).allMatch(dimension -> dimension >= 0),
        "has a negative dimension");
    boolean complete = Shapes.size(shape) == wire.getSetsCount();
    SetSums.check(
        "sets", complete, "expected as many as the shape has, got " + wire.getSetsCount());
    List<SetSums> sets = new ArrayList<>(wire.getSetsCount());
    for (int i = 0; i < wire.getSetsCount(); i++) {
      String path = "sets[" + i + "]";
      SetSums set = SetSums.of(path, wire.getSets(i));
      SetSums first = sets.isEmpty() ? set : sets.get(0);
      boolean equal = set.counts().elements() == first.counts().elements();
      SetSums.check(
          path + ".elements",
          equal,
          "expected the " + first.counts().elements() + " of the first set");
      boolean same = set.hasGradients() == first.hasGradients();
      SetSums.check(path + ".sum_of_gradients", same, "expected in all sets or in none");
      sets.add(set);
    }
    return new StatisticsPartial(kind, shape, sets);
  }
}
