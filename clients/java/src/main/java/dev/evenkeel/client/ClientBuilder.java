package dev.evenkeel.client;

import dev.evenkeel.client.internal.rpc.Address;
import dev.evenkeel.client.internal.rpc.Channels;
import dev.evenkeel.client.internal.rpc.Transport;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.Executor;
import java.util.concurrent.ForkJoinPool;

/** Settings of a {@link Client}. Made by {@link Client#builder}. */
public final class ClientBuilder {
  private static final Duration DEFAULT_TIMEOUT = Duration.ofSeconds(60);
  private static final int DEFAULT_RETRIES = 4;

  private final String text;
  private final Address address;
  private String token;
  private boolean allowPlaintext;
  private Path ca;
  private Path certificate;
  private Path key;
  private String serverName;
  private Duration timeout = DEFAULT_TIMEOUT;
  private int connections = 1;
  private int retries = DEFAULT_RETRIES;
  private Executor executor = ForkJoinPool.commonPool();

  ClientBuilder(String address) {
    this.text = Arguments.required("address", address);
    try {
      this.address = Address.parse(address);
    } catch (IllegalArgumentException error) {
      throw InvalidArgumentException.of("address", error.getMessage());
    }
  }

  /**
   * The token that each call carries. Without TLS it is sent to this machine only, unless {@link
   * #allowPlaintext} says otherwise.
   *
   * @param token visible ASCII characters, at least one. Default: none
   * @return these settings
   */
  public ClientBuilder token(String token) {
    if (!Arguments.required("token", token).matches("[!-~]+")) {
      throw InvalidArgumentException.of(
          "token", "expected visible ASCII characters, without spaces and line breaks");
    }
    this.token = token;
    return this;
  }

  /**
   * Whether a token may go to other machines without encryption, for networks that can be trusted.
   *
   * @param allow true for yes. Default: false
   * @return these settings
   */
  public ClientBuilder allowPlaintext(boolean allow) {
    this.allowPlaintext = allow;
    return this;
  }

  /**
   * The certificates that are trusted. It switches TLS on, as https does.
   *
   * @param file a file in PEM. Default: those of the Java runtime
   * @return these settings
   */
  public ClientBuilder ca(Path file) {
    this.ca = Arguments.required("ca", file);
    return this;
  }

  /**
   * The client's own certificate, for servers that ask for one.
   *
   * @param certificateFile the certificate, with its chain, in PEM
   * @param keyFile its key, in PEM (PKCS#8). Default: none
   * @return these settings
   */
  public ClientBuilder certificate(Path certificateFile, Path keyFile) {
    this.certificate = Arguments.required("certificate", certificateFile);
    this.key = Arguments.required("key", keyFile);
    return this;
  }

  /**
   * The name that the server's certificate must have.
   *
   * @param name the name. Default: the host of the address
   * @return these settings
   */
  public ClientBuilder serverName(String name) {
    this.serverName = Arguments.required("server_name", name);
    return this;
  }

  /**
   * How long a call may take that sets no deadline.
   *
   * @param timeout the time. Default: 60 seconds
   * @return these settings
   */
  public ClientBuilder timeout(Duration timeout) {
    this.timeout = Arguments.required("timeout", timeout);
    return this;
  }

  /**
   * How many connections the calls use in turn.
   *
   * @param connections the number, 1 or more. Default: 1
   * @return these settings
   */
  public ClientBuilder connections(int connections) {
    if (connections < 1) {
      throw InvalidArgumentException.of("connections", "expected 1 or more, got " + connections);
    }
    this.connections = connections;
    return this;
  }

  /**
   * How often a call is made again that an overloaded server has refused, or that lost its
   * connection.
   *
   * @param retries the number, 0 or more. Default: 4
   * @return these settings
   */
  public ClientBuilder retries(int retries) {
    this.retries = Arguments.notNegative("retries", retries);
    return this;
  }

  /**
   * Where code runs that depends on the future of a call.
   *
   * @param executor the executor. Default: the common pool
   * @return these settings
   */
  public ClientBuilder executor(Executor executor) {
    this.executor = Objects.requireNonNull(executor, "executor");
    return this;
  }

  /**
   * {@return the client} The first call connects.
   *
   * @throws InvalidArgumentException if a setting cannot be used, or not with the others
   */
  public Client build() {
    boolean encrypted = address.encrypted() || ca != null;
    if (encrypted && address.path() != null) {
      throw InvalidArgumentException.of(
          "ca", text + " is not encrypted: TLS needs a host and a port");
    }
    if (!encrypted && (certificate != null || serverName != null)) {
      String name = certificate != null ? "certificate" : "server_name";
      throw InvalidArgumentException.of(
          name, text + " is not encrypted: TLS needs https:// or a CA");
    }
    if (token != null && !encrypted && !address.isLocal() && !allowPlaintext) {
      String reason =
          text
              + " is another machine, and the token would not be encrypted: take https:// or"
              + " allowPlaintext";
      throw InvalidArgumentException.of("token", reason);
    }
    String authorization = token == null ? null : "Bearer " + token;
    Transport transport =
        new Transport(
            address, connections, authorization, encrypted, ca, certificate, key, serverName);
    try {
      Channels channels = new Channels(transport, "evenkeel-java/" + Version.CLIENT);
      return new Client(new Engine(channels, timeout, retries, executor));
    } catch (IOException error) {
      throw InvalidArgumentException.of("ca", "TLS cannot be set up: " + error.getMessage());
    }
  }
}
