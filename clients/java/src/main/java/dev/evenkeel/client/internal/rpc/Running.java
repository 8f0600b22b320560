package dev.evenkeel.client.internal.rpc;

import io.grpc.ClientCall;
import io.grpc.Deadline;
import io.grpc.Status;
import java.time.Duration;
import java.util.concurrent.TimeUnit;

/**
 * A call of the program, which may make several calls of the server, one after the other, by one
 * deadline.
 */
public final class Running {
  private final Deadline deadline;
  private ClientCall<?, ?> current;
  private boolean cancelled;

  /** A call that may take so long from now on. */
  public Running(Duration timeout) {
    this.deadline = Deadline.after(saturatedNanos(timeout), TimeUnit.NANOSECONDS);
  }

  private static long saturatedNanos(Duration timeout) {
    try {
      return timeout.toNanos();
    } catch (ArithmeticException tooLong) {
      return Long.MAX_VALUE;
    }
  }

  Deadline deadline() {
    return deadline;
  }

  /** The time that is left; negative if none is. */
  public Duration left() {
    return Duration.ofNanos(deadline.timeRemaining(TimeUnit.NANOSECONDS));
  }

  /** Whether the program has given the call up. */
  public synchronized boolean isCancelled() {
    return cancelled;
  }

  /** Gives the call up: resets what is under way at the server. */
  public void cancel() {
    ClientCall<?, ?> call;
    synchronized (this) {
      cancelled = true;
      call = current;
    }
    if (call != null) {
      call.cancel("the program has cancelled the call", null);
    }
  }

  /**
   * Says which call of the server is under way.
   *
   * @throws io.grpc.StatusRuntimeException if the call was given up
   */
  synchronized void begin(ClientCall<?, ?> call) {
    if (cancelled) {
      throw Status.CANCELLED
          .withDescription("the program has cancelled the call")
          .asRuntimeException();
    }
    current = call;
  }
}
