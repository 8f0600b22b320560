package dev.evenkeel.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.protobuf.ByteString;
import dev.evenkeel.v1.ExactSum;
import dev.evenkeel.v1.SetStatistics;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

class StatisticsPartialTest {
  private static ExactSum sum(int value) {
    // 2^2144 units, 268 zero bytes, are 1/16.
    byte[] magnitude = value == 0 ? new byte[0] : new byte[] {(byte) Math.abs(value)};
    return ExactSum.newBuilder()
        .setNegative(value < 0)
        .setLowZeroBytes(value == 0 ? 0 : 268)
        .setMagnitude(ByteString.copyFrom(magnitude))
        .build();
  }

  private static dev.evenkeel.v1.StatisticsPartial.Builder message() {
    SetStatistics set = SetStatistics.newBuilder().setElements(16).setSumOfSquares(sum(1)).build();
    return dev.evenkeel.v1.StatisticsPartial.newBuilder()
        .setKind(NormKind.LAYER.wire())
        .addShape(1)
        .addShape(2)
        .addSets(set)
        .addSets(set);
  }

  private static void refused(
      String path, Consumer<dev.evenkeel.v1.StatisticsPartial.Builder> change) {
    dev.evenkeel.v1.StatisticsPartial.Builder message = message();
    change.accept(message);
    byte[] bytes = message.build().toByteArray();
    InvalidArgumentException error =
        assertThrows(InvalidArgumentException.class, () -> StatisticsPartial.fromBytes(bytes));
    assertEquals(path, error.fields().get(0).path());
  }

  @Test
  void bytesComeBackAndMerge() {
    StatisticsPartial partial = StatisticsPartial.fromBytes(message().build().toByteArray());
    assertArrayEquals(message().build().toByteArray(), partial.toBytes());
    assertEquals(NormKind.LAYER, partial.kind());
    assertArrayEquals(new long[] {1, 2}, partial.shape());
    assertFalse(partial.hasGradients());
    StatisticsPartial twice = partial.merge(partial);
    assertEquals(32, twice.elements());
    assertEquals(sum(2), twice.toWire().getSets(1).getSumOfSquares());
  }

  @Test
  void signedSumsCancel() {
    Consumer<SetStatistics.Builder> measured =
        set -> set.setSumOfGradients(sum(5)).setSumOfProducts(sum(-3)).setNonfiniteGradients(1);
    dev.evenkeel.v1.StatisticsPartial.Builder message = message();
    message.getSetsBuilderList().forEach(measured);
    StatisticsPartial one = StatisticsPartial.of(message.build());
    message
        .getSetsBuilderList()
        .forEach(set -> set.setSumOfGradients(sum(-5)).setSumOfProducts(sum(1)));
    SetStatistics merged = one.merge(StatisticsPartial.of(message.build())).toWire().getSets(0);
    assertEquals(sum(0), merged.getSumOfGradients());
    assertEquals(sum(-2), merged.getSumOfProducts());
    assertEquals(2, merged.getNonfiniteGradients());
  }

  @Test
  void whatNoElementsHaveIsRefused() {
    refused("kind", message -> message.setKindValue(0));
    refused("shape", message -> message.setShape(0, -1));
    refused("sets", message -> message.setShape(0, 2));
    refused("sets[1].elements", message -> message.getSetsBuilder(1).setNanElements(17));
    refused("sets[1].elements", message -> message.getSetsBuilder(1).setElements(15));
    refused(
        "sets[1].sum_of_products", message -> message.getSetsBuilder(1).setSumOfProducts(sum(0)));
    refused(
        "sets[1].nonfinite_gradients",
        message -> message.getSetsBuilder(1).setNonfiniteGradients(1));
    refused(
        "sets[0].sum_of_squares", message -> message.getSetsBuilder(0).setSumOfSquares(sum(-1)));
    refused("sets[0].sum_of_squares", message -> message.getSetsBuilder(0).setSum(sum(100)));
    refused(
        "sets[1].sum_of_gradients", message -> message.getSetsBuilder(1).setSumOfGradients(sum(1)));
    refused(
        "sets[0].sum.magnitude",
        message ->
            message
                .getSetsBuilder(0)
                .getSumBuilder()
                .setLowZeroBytes(-1)
                .setMagnitude(ByteString.copyFrom(new byte[] {1})));
    refused(
        "sets[0].sum",
        message ->
            message
                .getSetsBuilder(0)
                .getSumBuilder()
                .setMagnitude(ByteString.copyFrom(new byte[] {1})));
  }

  @Test
  void partialsMustFitTogether() {
    StatisticsPartial partial = StatisticsPartial.of(message().build());
    StatisticsPartial rms = StatisticsPartial.of(message().setKind(NormKind.RMS.wire()).build());
    StatisticsPartial flat = StatisticsPartial.of(message().clearShape().addShape(2).build());
    assertThrows(InvalidArgumentException.class, () -> partial.merge(rms));
    assertThrows(InvalidArgumentException.class, () -> partial.merge(flat));
  }
}
