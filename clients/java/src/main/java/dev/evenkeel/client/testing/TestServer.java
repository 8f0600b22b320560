package dev.evenkeel.client.testing;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * A server on a free port of this machine, which ends when it is closed, and with the Java machine
 * at the latest.
 *
 * <pre>{@code
 * try (TestServer server = TestServer.start(); Client client = Client.connect(server.address())) {
 *   ...
 * }
 * }</pre>
 *
 * <p>The binary is the file that the variable EVENKEEL_BINARY names, else {@code evenkeel} in PATH.
 */
public final class TestServer implements AutoCloseable {
  private static final String VARIABLE = "EVENKEEL_BINARY";
  private static final String LISTENING = "listening on ";
  private static final long START_SECONDS = 30;
  private static final long STOP_SECONDS = 5;

  private final Process process;
  private final Thread hook;
  private String address;

  private TestServer(Process process) {
    this.process = process;
    this.hook = new Thread(process::destroyForcibly, "evenkeel-test-server");
    Runtime.getRuntime().addShutdownHook(hook);
  }

  /**
   * Starts a server, and waits until it listens.
   *
   * @param flags more flags of {@code evenkeel serve}, such as {@code --max-message-bytes=65536}
   * @return the server
   * @throws IllegalStateException if there is no binary, or it ends or does not listen within 30
   *     seconds
   */
  public static TestServer start(String... flags) {
    return start(binary(), flags);
  }

  /**
   * Starts a server of this binary, and waits until it listens.
   *
   * @param binary the file
   * @param flags more flags of {@code evenkeel serve}
   * @return the server
   * @throws IllegalStateException if the binary cannot be started, or ends or does not listen
   *     within 30 seconds
   */
  public static TestServer start(Path binary, String... flags) {
    List<String> command =
        new ArrayList<>(List.of(binary.toString(), "serve", "--listen=127.0.0.1:0"));
    command.addAll(List.of(flags));
    ProcessBuilder builder =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT);
    builder.environment().putIfAbsent("EVENKEEL_LOG_LEVEL", "warn");
    TestServer server;
    try {
      server = new TestServer(builder.start());
    } catch (IOException error) {
      throw new IllegalStateException("cannot start " + binary + ": " + error.getMessage(), error);
    }
    try {
      server.address = server.await();
    } catch (RuntimeException error) {
      server.close();
      throw error;
    }
    return server;
  }

  private static Path binary() {
    String named = System.getenv(VARIABLE);
    if (named != null && !named.isEmpty()) {
      return Path.of(named);
    }
    String folders = Optional.ofNullable(System.getenv("PATH")).orElse("");
    for (String folder : folders.split(File.pathSeparator)) {
      Path file = Path.of(folder, "evenkeel");
      if (Files.isExecutable(file)) {
        return file;
      }
    }
    throw new IllegalStateException(
        "no server: set " + VARIABLE + " to the file evenkeel, or add its folder to PATH");
  }

  /** Waits for the line with the address. */
  private String await() {
    BufferedReader output = process.inputReader(StandardCharsets.UTF_8);
    CompletableFuture<String> line =
        CompletableFuture.supplyAsync(
            () -> {
              try {
                return output.readLine();
              } catch (IOException error) {
                throw new UncheckedIOException(error);
              }
            });
    try {
      String first = line.get(START_SECONDS, TimeUnit.SECONDS);
      if (first != null && first.startsWith(LISTENING)) {
        drain(output);
        return first.substring(LISTENING.length()).trim();
      }
      throw new IllegalStateException("the server has ended before it listened, or said: " + first);
    } catch (TimeoutException | ExecutionException error) {
      throw new IllegalStateException("the server does not listen: " + error.getMessage(), error);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while the server started", interrupted);
    }
  }

  /** Reads what else the server writes, so that it never waits for a reader. */
  private static void drain(BufferedReader output) {
    Thread reader =
        new Thread(() -> output.lines().forEach(line -> {}), "evenkeel-test-server-output");
    reader.setDaemon(true);
    reader.start();
  }

  /** {@return host and port, for {@link dev.evenkeel.client.Client#connect}} */
  public String address() {
    return address;
  }

  /** Stops the server; kills it if it does not end within some seconds. */
  @Override
  public void close() {
    process.destroy();
    try {
      if (!process.waitFor(STOP_SECONDS, TimeUnit.SECONDS)) {
        process.destroyForcibly();
      }
    } catch (InterruptedException interrupted) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
    }
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException ending) {
      // the Java machine is ending, and the hook runs by itself
    }
  }
}
