package dev.evenkeel.client.internal.rpc;

import dev.evenkeel.client.internal.wire.Incoming;
import dev.evenkeel.client.internal.wire.Outgoing;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.Status;
import java.util.concurrent.CompletableFuture;

/** Waits for the one response of a call. */
final class UnaryCall<M> extends ClientCall.Listener<Incoming<M>> {
  private final CompletableFuture<Incoming<M>> result = new CompletableFuture<>();
  private Incoming<M> message;
  private boolean hasSeveral;

  void start(ClientCall<Outgoing, Incoming<M>> call, Metadata headers, Outgoing request) {
    call.start(this, headers);
    call.request(2);
    try {
      call.sendMessage(request);
      call.halfClose();
    } catch (IllegalStateException cancelled) {
      call.cancel("the call was cancelled while it began", cancelled);
    }
  }

  CompletableFuture<Incoming<M>> result() {
    return result;
  }

  @Override
  public void onMessage(Incoming<M> received) {
    hasSeveral = message != null;
    message = received;
  }

  @Override
  public void onClose(Status status, Metadata trailers) {
    if (!status.isOk()) {
      result.completeExceptionally(status.asRuntimeException(trailers));
    } else if (message == null || hasSeveral) {
      String fault =
          hasSeveral ? "the call has more than one response" : "the call has no response";
      result.completeExceptionally(
          Status.INTERNAL.withDescription(fault).asRuntimeException(trailers));
    } else {
      result.complete(message);
    }
  }
}
