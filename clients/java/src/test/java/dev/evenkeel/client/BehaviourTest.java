package dev.evenkeel.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

/** Deadlines, cancellation, retries and settings, beside a server that never answers, or none. */
class BehaviourTest {
  private static final Tensor X = Tensor.of(new float[] {1, 2}, 1, 2);

  /** Accepts connections, and says nothing. */
  private static final class Silent implements AutoCloseable {
    private final ServerSocket socket = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    private final AtomicInteger connections = new AtomicInteger();

    /** {@code closing}: closes each connection at once. */
    Silent(boolean closing) throws IOException {
      Thread thread =
          new Thread(
              () -> {
                try {
                  while (true) {
                    Socket accepted = socket.accept();
                    connections.incrementAndGet();
                    if (closing) {
                      accepted.close();
                    }
                  }
                } catch (IOException closed) {
                  return;
                }
              });
      thread.setDaemon(true);
      thread.start();
    }

    String address() {
      return "127.0.0.1:" + socket.getLocalPort();
    }

    @Override
    public void close() throws IOException {
      socket.close();
    }
  }

  @Test
  void theDeadlineEndsACall() throws IOException {
    try (Silent silent = new Silent(false);
        Client client = Client.connect(silent.address())) {
      long begin = System.nanoTime();
      assertThrows(
          DeadlineExceededException.class,
          () -> client.layerNorm(X).deadline(Duration.ofMillis(200)).call());
      assertTrue(System.nanoTime() - begin >= Duration.ofMillis(190).toNanos());
    }
  }

  @Test
  void aCancelledFutureEndsACall() throws IOException {
    try (Silent silent = new Silent(false);
        Client client = Client.connect(silent.address())) {
      CompletableFuture<Normalized> call = client.layerNorm(X).callAsync();
      assertTrue(call.cancel(true));
      assertTrue(call.isCancelled());
    }
  }

  @Test
  void anInterruptEndsACall() throws IOException {
    try (Silent silent = new Silent(false);
        Client client = Client.connect(silent.address())) {
      Thread.currentThread().interrupt();
      assertThrows(CancelledException.class, () -> client.layerNorm(X).call());
      assertTrue(Thread.interrupted());
    }
  }

  @Test
  void brokenConnectionsAreRetried() throws IOException {
    try (Silent closing = new Silent(true);
        Client client = Client.builder(closing.address()).retries(2).build()) {
      assertThrows(UnavailableException.class, () -> client.layerNorm(X).call());
      // gRPC may connect once more by itself. Without retries it is one connection.
      assertTrue(closing.connections.get() >= 3, closing.connections::toString);
    }
  }

  @Test
  void noRetryGoesBeyondTheDeadline() throws IOException {
    try (Silent closing = new Silent(true);
        Client client = Client.builder(closing.address()).retries(1000).build()) {
      long begin = System.nanoTime();
      assertThrows(
          EvenkeelException.class,
          () -> client.layerNorm(X).deadline(Duration.ofSeconds(1)).call());
      assertTrue(System.nanoTime() - begin < Duration.ofSeconds(10).toNanos());
    }
  }

  @Test
  void aClosedClientMakesNoCalls() {
    Client client = Client.connect("127.0.0.1:1");
    client.close();
    assertThrows(IllegalStateException.class, () -> client.layerNorm(X).call());
    assertThrows(IllegalStateException.class, () -> client.layerNorm(X).callAsync());
  }

  private static void refused(String name, Runnable build) {
    InvalidArgumentException error = assertThrows(InvalidArgumentException.class, build::run);
    assertEquals(name, error.fields().get(0).path());
  }

  @Test
  void settingsMustFitTogether() {
    refused("address", () -> Client.connect("ftp://host"));
    refused("token", () -> Client.builder("127.0.0.1:1").token("a b"));
    refused("token", () -> Client.builder("10.0.0.1:1").token("secret").build());
    Client.builder("10.0.0.1:1").token("secret").allowPlaintext(true).build().close();
    refused("ca", () -> Client.builder("unix:/a").ca(Path.of("ca.pem")).build());
    refused("ca", () -> Client.builder("https://a:1").ca(Path.of("no-such-file.pem")).build());
    refused("server_name", () -> Client.builder("127.0.0.1:1").serverName("a").build());
    refused("connections", () -> Client.builder("127.0.0.1:1").connections(0));
    refused("retries", () -> Client.builder("127.0.0.1:1").retries(-1));
  }

  @Test
  void versionsFarApartAreWarnedOf() {
    assertTrue(Version.warning("0.1.0", "0.1.7").isEmpty());
    assertTrue(Version.warning("0.1.0", "0.2.0-rc.1").isEmpty());
    assertFalse(Version.warning("0.1.0", "0.3.0").isEmpty());
    assertFalse(Version.warning("0.9.0", "1.0.0").isEmpty());
    assertFalse(Version.warning("0.1.0", "").isEmpty());
    assertTrue(Version.CLIENT.matches("\\d+\\.\\d+\\.\\d+"), Version.CLIENT);
  }

  @Test
  void namesOfConstantsAreLowerCase() {
    assertEquals(NormKind.LAYER, NormKind.named("layer"));
    assertEquals(DropoutKind.FEATURE_ALPHA, DropoutKind.named("feature_alpha"));
    refused("kind", () -> NormKind.named("LAYER"));
    refused("scaling", () -> DropoutScaling.named("double"));
    assertArrayEquals(
        new int[] {4, 8, 2, 2},
        java.util.Arrays.stream(DType.values()).mapToInt(DType::bytes).toArray());
  }
}
