package dev.evenkeel.client;

import dev.evenkeel.client.internal.rpc.Running;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;

/**
 * Makes a call again that an overloaded server has refused, or that has lost its connection. No
 * call changes anything at the server, so all may be made again.
 *
 * @param most how often a call is made again
 */
record Retries(int most) {
  private static final Duration FIRST = Duration.ofMillis(100);
  private static final Duration LONGEST = Duration.ofSeconds(5);

  /** A server that asks for a longer delay is not waited for, whatever the deadline. */
  private static final Duration LONGEST_ASKED = Duration.ofMinutes(1);

  private static final String OVERLOADED = "OVERLOADED";

  <R> CompletableFuture<R> run(
      Running running, BooleanSupplier open, Supplier<CompletableFuture<R>> operation) {
    CompletableFuture<R> result = new CompletableFuture<>();
    attempt(0, running, open, operation, result);
    return result;
  }

  private <R> void attempt(
      int retried,
      Running running,
      BooleanSupplier open,
      Supplier<CompletableFuture<R>> operation,
      CompletableFuture<R> result) {
    CompletableFuture<R> attempt;
    try {
      attempt = operation.get();
    } catch (RuntimeException error) {
      attempt = CompletableFuture.failedFuture(error);
    }
    attempt.whenComplete(
        (value, error) -> {
          if (error == null) {
            result.complete(value);
            return;
          }
          EvenkeelException own = Errors.of(error);
          Optional<Duration> delay =
              retried < most && open.getAsBoolean() && !running.isCancelled()
                  ? delay(own, retried)
                  : Optional.empty();
          // An error that comes now is of more use than one at the deadline.
          if (delay.isEmpty() || delay.get().compareTo(running.left()) >= 0) {
            result.completeExceptionally(own);
            return;
          }
          CompletableFuture.delayedExecutor(delay.get().toNanos(), TimeUnit.NANOSECONDS)
              .execute(() -> attempt(retried + 1, running, open, operation, result));
        });
  }

  /** How long to wait before a call is made again; empty: it is not. */
  private static Optional<Duration> delay(EvenkeelException error, int retried) {
    if (error instanceof OverloadedException overloaded
        && error.reason().filter(OVERLOADED::equals).isPresent()) {
      return Optional.of(overloaded.retryAfter().orElseGet(() -> backoff(retried)))
          .filter(asked -> asked.compareTo(LONGEST_ASKED) <= 0);
    }
    return error instanceof UnavailableException ? Optional.of(backoff(retried)) : Optional.empty();
  }

  /** Twice as long each time, and a random part less, so that clients do not come back together. */
  private static Duration backoff(int retried) {
    long longest = Math.min(FIRST.toNanos() << Math.min(retried, 20), LONGEST.toNanos());
    return Duration.ofNanos(longest / 2 + ThreadLocalRandom.current().nextLong(longest / 2 + 1));
  }
}
