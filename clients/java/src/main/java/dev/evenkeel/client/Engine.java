package dev.evenkeel.client;

import com.google.protobuf.Parser;
import dev.evenkeel.client.internal.rpc.Calls;
import dev.evenkeel.client.internal.rpc.Channels;
import dev.evenkeel.client.internal.rpc.Running;
import dev.evenkeel.client.internal.wire.Incoming;
import dev.evenkeel.client.internal.wire.Marshallers;
import dev.evenkeel.client.internal.wire.Outgoing;
import dev.evenkeel.v1.GetServerInfoRequest;
import dev.evenkeel.v1.GetServerInfoResponse;
import dev.evenkeel.v1.TensorOpsServiceGrpc;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.Marshaller;
import java.time.Duration;
import java.util.Iterator;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import java.util.function.Supplier;

/** What all calls of a client share: the connections, the server's limits, and the settings. */
final class Engine {
  private static final System.Logger LOGGER = System.getLogger("dev.evenkeel.client");

  private final Channels channels;
  private final Duration timeout;
  private final Retries retries;
  private final Executor executor;
  private final AtomicBoolean warned = new AtomicBoolean();
  private volatile Limits limits;
  private volatile boolean closed;

  Engine(Channels channels, Duration timeout, int retries, Executor executor) {
    this.channels = channels;
    this.timeout = timeout;
    this.retries = new Retries(retries);
    this.executor = executor;
  }

  /** How long a call may take that does not say it. */
  Duration timeout() {
    return timeout;
  }

  /** Where programs' code runs that waits for a call. */
  Executor executor() {
    return executor;
  }

  /** Runs a call, again where it may be retried. It fails with an {@link EvenkeelException}. */
  <R> CompletableFuture<R> run(Running running, Supplier<CompletableFuture<R>> operation) {
    if (closed) {
      throw new IllegalStateException("the client is closed");
    }
    return retries.run(running, () -> !closed, operation);
  }

  /** A call with one message in each direction, whose response has tensors in these fields. */
  <M> CompletableFuture<Incoming<M>> unary(
      Running running,
      MethodDescriptor<?, M> method,
      Outgoing request,
      Parser<M> parser,
      Set<Integer> tensorFields) {
    return Calls.unary(
        channels, running, method, request, Marshallers.incoming(parser, tensorFields));
  }

  /** A call with any number of messages in each direction. */
  <M> CompletableFuture<Void> stream(
      Running running,
      MethodDescriptor<?, M> method,
      Iterator<Outgoing> requests,
      Marshaller<Incoming<M>> responses,
      Consumer<Incoming<M>> handler) {
    return Calls.stream(channels, running, method, requests, responses, handler);
  }

  /**
   * The limits for a message of so many bytes; the server is asked once, when a message first is
   * large enough to need them.
   */
  CompletableFuture<Limits> limits(Running running, long bytes) {
    Limits known = limits;
    if (known != null || bytes <= Limits.LEAST_MESSAGE) {
      return CompletableFuture.completedFuture(known == null ? Limits.UNKNOWN : known);
    }
    return info(running)
        .handle(
            (info, error) -> {
              if (error != null && !(Errors.of(error) instanceof UnimplementedException)) {
                throw Errors.of(error);
              }
              limits =
                  error == null
                      ? new Limits(info.maxMessageBytes(), info.maxStreamChunkBytes())
                      : Limits.UNKNOWN;
              return limits;
            });
  }

  /** Asks the server for its version and limits. */
  CompletableFuture<ServerInfo> info(Running running) {
    Outgoing request = Outgoing.of(GetServerInfoRequest.getDefaultInstance());
    return unary(
            running,
            TensorOpsServiceGrpc.getGetServerInfoMethod(),
            request,
            GetServerInfoResponse.parser(),
            Set.of())
        .thenApply(
            answer -> {
              ServerInfo info = ServerInfo.of(answer.rest());
              Version.warning(Version.CLIENT, info.version()).ifPresent(this::warn);
              return info;
            });
  }

  private void warn(String message) {
    if (warned.compareAndSet(false, true)) {
      LOGGER.log(System.Logger.Level.WARNING, message);
    }
  }

  void close() {
    closed = true;
    channels.close();
  }
}
