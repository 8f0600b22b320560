package dev.evenkeel.client.internal.rpc;

import dev.evenkeel.client.internal.wire.Incoming;
import dev.evenkeel.client.internal.wire.Outgoing;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.Status;
import java.util.Iterator;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;

/** Sends requests while there is room for them, and hands on responses while they arrive. */
final class StreamCall<M> extends ClientCall.Listener<Incoming<M>> {
  private final Iterator<Outgoing> requests;
  private final Consumer<Incoming<M>> handler;
  private final CompletableFuture<Void> result = new CompletableFuture<>();
  private ClientCall<Outgoing, Incoming<M>> call;
  private boolean complete;

  /** What went wrong on this side, and made it cancel the call. */
  private RuntimeException fault;

  StreamCall(Iterator<Outgoing> requests, Consumer<Incoming<M>> handler) {
    this.requests = requests;
    this.handler = handler;
  }

  void start(ClientCall<Outgoing, Incoming<M>> begun, Metadata headers) {
    call = begun;
    call.start(this, headers);
    call.request(2);
  }

  CompletableFuture<Void> result() {
    return result;
  }

  @Override
  public void onReady() {
    try {
      while (!complete && call.isReady()) {
        if (requests.hasNext()) {
          call.sendMessage(requests.next());
        } else {
          complete = true;
          call.halfClose();
        }
      }
    } catch (RuntimeException error) {
      fail(error);
    }
  }

  @Override
  public void onMessage(Incoming<M> message) {
    if (fault != null) {
      return;
    }
    try {
      handler.accept(message);
      call.request(1);
    } catch (RuntimeException error) {
      fail(error);
    }
  }

  private void fail(RuntimeException error) {
    if (fault == null) {
      fault = error;
      call.cancel("the client has given the call up", error);
    }
  }

  @Override
  public void onClose(Status status, Metadata trailers) {
    if (fault != null) {
      result.completeExceptionally(fault);
    } else if (status.isOk()) {
      result.complete(null);
    } else {
      result.completeExceptionally(status.asRuntimeException(trailers));
    }
  }
}
