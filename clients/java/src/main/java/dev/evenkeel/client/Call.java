package dev.evenkeel.client;

import dev.evenkeel.client.internal.rpc.Running;
import io.grpc.Status;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/**
 * A call that is being prepared, with the options that are set. Nothing is sent before {@link
 * #call} or {@link #callAsync}. A call may be made several times; it is not for several threads at
 * once.
 *
 * @param <R> the result
 * @param <S> the type of the call itself
 */
public abstract class Call<R, S extends Call<R, S>> {
  /** What all calls share. */
  final Engine engine;

  private Duration deadline;

  Call(Engine engine) {
    this.engine = engine;
    this.deadline = engine.timeout();
  }

  /** This call, by its own type. */
  abstract S self();

  /** Makes one attempt. Faults of the arguments that the client can see are thrown. */
  abstract CompletableFuture<R> start(Running running);

  /** Throws where arguments are missing. */
  void validate() {}

  /**
   * How long the call may take, from now until the whole result is there, with all retries. The
   * server has this limit as well, and stops working when the time is over. Default: the client's
   * timeout.
   *
   * @param timeout the time
   * @return this call
   */
  public final S deadline(Duration timeout) {
    deadline = Objects.requireNonNull(timeout, "timeout");
    return self();
  }

  /**
   * Makes the call, and waits for the result.
   *
   * @return the result
   * @throws EvenkeelException if the call fails; {@link CancelledException} if the thread is
   *     interrupted, which stays marked as such
   * @throws IllegalStateException if the client is closed
   */
  public final R call() {
    validate();
    Running running = new Running(deadline);
    CompletableFuture<R> result = engine.run(running, () -> start(running));
    try {
      return result.get();
    } catch (ExecutionException failed) {
      EvenkeelException error = Errors.of(failed.getCause());
      error.fillInStackTrace(); // the trace of the program, not that of the connection's thread
      throw error;
    } catch (InterruptedException interrupted) {
      running.cancel();
      Thread.currentThread().interrupt();
      Fault fault =
          new Fault(Status.Code.CANCELLED, "the thread was interrupted", null, interrupted);
      throw new CancelledException(fault);
    }
  }

  /**
   * Begins the call. The tensors must not change before it is done. Cancelling the future cancels
   * the call at the server. What depends on the future runs on the client's executor.
   *
   * @return the result, or an {@link EvenkeelException}
   * @throws InvalidArgumentException for faults that the client can see
   * @throws IllegalStateException if the client is closed
   */
  public final CompletableFuture<R> callAsync() {
    validate();
    Running running = new Running(deadline);
    CompletableFuture<R> result = new CompletableFuture<>();
    engine
        .run(running, () -> start(running))
        .whenCompleteAsync(
            (value, error) -> {
              if (error == null) {
                result.complete(value);
              } else {
                result.completeExceptionally(Errors.of(error));
              }
            },
            engine.executor());
    result.whenComplete(
        (value, error) -> {
          if (result.isCancelled()) {
            running.cancel();
          }
        });
    return result;
  }
}
