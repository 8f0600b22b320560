package dev.evenkeel.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.evenkeel.client.testing.EvenkeelExtension;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

@ExtendWith(EvenkeelExtension.class)
class ClientTest {
  private static final Tensor ROW =
      Tensor.of(new float[] {40000, 40001, 40002, 40003}, 1, 4).named("row");
  private static final float[] NORMALIZED = {-1.3416355f, -0.4472118f, 0.4472118f, 1.3416355f};

  @Test
  void normalizes(Client client) {
    Normalized normalized = client.layerNorm(ROW).returnStatistics(true).call();
    assertArrayEquals(NORMALIZED, normalized.output().floats());
    assertEquals("row", normalized.output().name());
    assertEquals(List.of(1), normalized.axes());
    assertArrayEquals(new float[] {40001.5f}, normalized.mean().orElseThrow().floats());
    assertTrue(normalized.runningMean().isEmpty());
  }

  @Test
  void updatesRunningStatistics(Client client) {
    Tensor mean = Tensor.of(new double[] {0, 0});
    Tensor var = Tensor.of(new float[] {1, 1});
    Tensor x = Tensor.of(new float[] {1, 2, 3, 6}, 2, 2);
    Normalized normalized =
        client.batchNorm(x).runningStatistics(mean, var).training(true).momentum(0.5).call();
    assertArrayEquals(new double[] {1, 2}, normalized.runningMean().orElseThrow().doubles());
    assertArrayEquals(new float[] {1.5f, 4.5f}, normalized.runningVar().orElseThrow().floats());
  }

  @Test
  void differentiates(Client client) {
    Tensor ones = Tensor.of(new float[] {1, 1, 1, 1}, 1, 4);
    NormalizeGradients gradients =
        client
            .normalizeBackward(ROW, ones)
            .layer()
            .weight(Tensor.of(new float[] {1, 1, 1, 1}))
            .call();
    assertArrayEquals(new float[4], gradients.gradInput().floats(), 1e-6f);
    assertArrayEquals(NORMALIZED, gradients.gradWeight().orElseThrow().floats());
    assertTrue(gradients.gradBias().isEmpty());
  }

  @Test
  void dropsByTheMaskThatIsComputedHere(Client client) {
    float[] ones = new float[1000];
    Arrays.fill(ones, 1);
    Dropped dropped =
        client.dropout(Tensor.of(ones), 0.3).seed(-5).offset(7).returnMask(true).call();
    boolean[] keep = KeepMask.of(-5, 1000, 0.3, 7);
    Mask mask = dropped.mask().orElseThrow();
    long kept = 0;
    for (int i = 0; i < keep.length; i++) {
      assertEquals(keep[i], mask.kept(i));
      assertEquals(keep[i], dropped.output().floats()[i] != 0);
      kept += keep[i] ? 1 : 0;
    }
    assertEquals(kept, dropped.kept());
    assertThrows(IndexOutOfBoundsException.class, () -> mask.kept(1000));
    float[] gradient =
        client.dropoutBackward(Tensor.of(ones), 0.3).seed(-5).offset(7).call().floats();
    assertArrayEquals(dropped.output().floats(), gradient);
  }

  @Test
  void clipsByNameInOrder(Client client) {
    Map<String, Tensor> gradients = new LinkedHashMap<>();
    gradients.put("w", Tensor.of(new float[] {3, 0}));
    gradients.put("b", Tensor.of(new double[] {0, 4}));
    Clipped clipped = client.clipGradNorm(gradients, 1).epsilon(0).call();
    assertEquals(List.of("w", "b"), List.copyOf(clipped.byName().keySet()));
    assertEquals(5, clipped.totalNorm());
    assertArrayEquals(new float[] {0.6f, 0}, clipped.byName().get("w").floats());
    Clipped byTensor = client.clipGradNorm(gradients, 1).perTensor(true).call();
    assertEquals(List.of(3.0, 4.0), byTensor.tensorNorms());
    assertEquals(2, client.clipGradValue(gradients, 1).call().clippedElements());
  }

  @Test
  void partialsOfPartsGiveTheBitsOfTheWhole(Client client) {
    Tensor first = Tensor.of(new float[] {3});
    Tensor second = Tensor.of(new float[] {4});
    NormPartial merged =
        client
            .measureGradients(List.of(first))
            .call()
            .merge(client.measureGradients(List.of(second)).call());
    assertEquals(5, merged.totalNorm());
    assertArrayEquals(
        client.measureGradients(List.of(first, second)).call().toBytes(), merged.toBytes());

    Tensor batch = Tensor.of(new float[] {1, 2, 3, 4, 5, 7}, 3, 2);
    Tensor top = Tensor.of(new float[] {1, 2}, 1, 2);
    Tensor rest = Tensor.of(new float[] {3, 4, 5, 7}, 2, 2);
    StatisticsPartial parts =
        client
            .measureStatistics(rest)
            .batch()
            .call()
            .merge(client.measureStatistics(top).batch().call());
    float[] whole = client.batchNorm(batch).call().output().floats();
    float[] part = client.batchNorm(top).statistics(parts).call().output().floats();
    assertArrayEquals(Arrays.copyOf(whole, 2), part);
  }

  @Test
  void errorsHaveTypes(Client client) {
    InvalidArgumentException invalid =
        assertThrows(InvalidArgumentException.class, () -> client.groupNorm(ROW, 3).eps(-1).call());
    assertEquals(
        List.of("eps", "groups"),
        invalid.fields().stream().map(FieldViolation::path).sorted().toList());
    assertEquals(
        "kind",
        assertThrows(InvalidArgumentException.class, () -> client.normalize(ROW).call())
            .fields()
            .get(0)
            .path());
    List<Tensor> gradients =
        List.of(Tensor.of(new float[] {1}), Tensor.of(new float[] {Float.NaN}).named("bad"));
    NonfiniteNormException norm =
        assertThrows(
            NonfiniteNormException.class,
            () -> client.clipGradNorm(gradients, 1).errorIfNonfinite(true).call());
    assertEquals(1, norm.nanElements());
    assertEquals(Map.of(1, "bad"), norm.gradients());
    assertTrue(
        Arrays.stream(norm.getStackTrace())
            .anyMatch(frame -> frame.getClassName().contains("ClientTest")));
  }

  @Test
  void manyCallsRunAtOnce(Client client) {
    List<CompletableFuture<Normalized>> calls =
        java.util.stream.IntStream.range(0, 50)
            .mapToObj(i -> client.layerNorm(ROW).callAsync())
            .toList();
    calls.forEach(call -> assertArrayEquals(NORMALIZED, call.join().output().floats()));
  }

  @Test
  void tellsOfTheServer(Client client) {
    ServerInfo info = client.serverInfo();
    assertEquals(List.of(DType.values()), info.dtypes());
    assertEquals(6, info.kinds().size());
    assertTrue(info.maxMessageBytes() > 1 << 20);
  }
}
