package dev.evenkeel.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.evenkeel.client.testing.EvenkeelExtension;
import dev.evenkeel.client.testing.TestServer;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Tensors that are larger than a server's messages, beside a server that takes them whole. */
@ExtendWith(EvenkeelExtension.class)
class LargeTensorTest {
  private static TestServer server;
  private static Client small;

  @BeforeAll
  static void start() {
    server =
        TestServer.start(
            "--max-message-bytes=16384",
            "--max-stream-chunk-bytes=4096",
            "--max-bytes-in-flight=262144");
    small = Client.connect(server.address());
  }

  @AfterAll
  static void stop() {
    small.close();
    server.close();
  }

  private static Tensor random(long... shape) {
    int size = 1;
    for (long dimension : shape) {
      size *= (int) dimension;
    }
    float[] data = new float[size];
    Random random = new Random(size);
    for (int i = 0; i < size; i++) {
      data[i] = random.nextFloat() - 0.5f;
    }
    return Tensor.of(data, shape);
  }

  @Test
  void streamsHaveTheBytesOfWholeCalls(Client client) {
    Tensor rows = random(500, 37);
    Normalized whole = client.layerNorm(rows).returnStatistics(true).call();
    Normalized streamed = small.layerNorm(rows).returnStatistics(true).call();
    assertArrayEquals(whole.output().floats(), streamed.output().floats());
    assertArrayEquals(whole.rstd().orElseThrow().floats(), streamed.rstd().orElseThrow().floats());
    Tensor halves = rows.to(DType.BFLOAT16);
    Dropped dropped = small.dropout(halves, 0.4).seed(3).returnMask(true).call();
    assertArrayEquals(
        client.dropout(halves, 0.4).seed(3).call().output().floats(), dropped.output().floats());
    assertArrayEquals(
        client.dropoutBackward(rows, 0.4).seed(3).call().floats(),
        small.dropoutBackward(rows, 0.4).seed(3).call().floats());
  }

  @Test
  void tensorsOfSomeMebibytesGoTheFasterWay(Client client) {
    Tensor rows = random(1024, 1024);
    float[] streamed = client.rmsNorm(rows).call().output().floats();
    Tensor first = Tensor.of(java.util.Arrays.copyOf(rows.floats(), 1024), 1, 1024);
    assertArrayEquals(
        client.rmsNorm(first).call().output().floats(), java.util.Arrays.copyOf(streamed, 1024));
    Clipped clipped = client.clipGradValue(List.of(rows), 0.25).call();
    assertEquals(0.25f, clipped.gradients().get(0).floats()[largest(rows)]);
  }

  private static int largest(Tensor tensor) {
    int largest = 0;
    for (int i = 0; i < tensor.size(); i++) {
      largest = tensor.get(i) > tensor.get(largest) ? i : largest;
    }
    return largest;
  }

  @Test
  void whatNeedsTwoPassesIsMeasuredFirst(Client client) {
    Tensor batch = random(1000, 64);
    float[] expected =
        client
            .batchNorm(batch)
            .statistics(client.measureStatistics(batch).batch().call())
            .call()
            .output()
            .floats();
    assertArrayEquals(expected, small.batchNorm(batch).call().output().floats());
    List<Tensor> gradients = List.of(random(40000).named("a"), random(41000).named("b"));
    for (boolean perTensor : new boolean[] {false, true}) {
      Clipped whole = client.clipGradNorm(gradients, 1).perTensor(perTensor).call();
      Clipped streamed = small.clipGradNorm(gradients, 1).perTensor(perTensor).call();
      assertEquals(whole.totalNorm(), streamed.totalNorm());
      assertEquals(whole.scale(), streamed.scale());
      assertEquals(whole.tensorNorms(), streamed.tensorNorms());
      assertArrayEquals(whole.byName().get("b").floats(), streamed.byName().get("b").floats());
    }
  }

  @Test
  void errorsOfStreamsAreThoseOfCalls() {
    InvalidArgumentException invalid =
        assertThrows(
            InvalidArgumentException.class, () -> small.layerNorm(random(50, 256)).eps(-1).call());
    assertEquals("eps", invalid.fields().get(0).path());
    Tensor rows = random(50, 256);
    assertThrows(
        MessageTooLargeException.class, () -> small.normalizeBackward(rows, rows).layer().call());
  }
}
