package dev.evenkeel.client.internal.rpc;

import dev.evenkeel.client.internal.wire.Incoming;
import dev.evenkeel.client.internal.wire.Marshallers;
import dev.evenkeel.client.internal.wire.Outgoing;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.Marshaller;
import java.util.Iterator;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;

/** Makes calls of the server. They fail with gRPC's exception. */
public final class Calls {
  /**
   * The next message is encoded when the one before is in the socket. Netty would join messages
   * into one frame, and the server holds what it has received of a frame: a header would come with
   * much of a tensor that the server may refuse.
   */
  private static final int READY_BYTES = 1;

  private Calls() {}

  /** A call with one message in each direction. */
  public static <M> CompletableFuture<Incoming<M>> unary(
      Channels channels,
      Running running,
      MethodDescriptor<?, ?> method,
      Outgoing request,
      Marshaller<Incoming<M>> responses) {
    UnaryCall<M> listener = new UnaryCall<>();
    ClientCall<Outgoing, Incoming<M>> call = call(channels, running, method, responses);
    listener.start(call, channels.headers(), request);
    return listener.result();
  }

  /**
   * A call with any number of messages in both directions. Requests are taken from the iterator
   * when there is room for them, while responses arrive; both run on the connection's thread.
   */
  public static <M> CompletableFuture<Void> stream(
      Channels channels,
      Running running,
      MethodDescriptor<?, ?> method,
      Iterator<Outgoing> requests,
      Marshaller<Incoming<M>> responses,
      Consumer<Incoming<M>> handler) {
    StreamCall<M> listener = new StreamCall<>(requests, handler);
    ClientCall<Outgoing, Incoming<M>> call = call(channels, running, method, responses);
    listener.start(call, channels.headers());
    return listener.result();
  }

  private static <M> ClientCall<Outgoing, Incoming<M>> call(
      Channels channels,
      Running running,
      MethodDescriptor<?, ?> method,
      Marshaller<Incoming<M>> responses) {
    MethodDescriptor<Outgoing, Incoming<M>> own =
        method.toBuilder(Marshallers.outgoing(), responses).build();
    CallOptions options =
        CallOptions.DEFAULT.withDeadline(running.deadline()).withOnReadyThreshold(READY_BYTES);
    ClientCall<Outgoing, Incoming<M>> call = channels.next().newCall(own, options);
    running.begin(call);
    return call;
  }
}
