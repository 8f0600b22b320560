package dev.evenkeel.client;

import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import java.util.function.Supplier;

/** What CompletableFuture does not have. */
final class Futures {
  private Futures() {}

  /** Another future, where the first fails with this error; empty: there is no other. */
  static <R> CompletableFuture<R> orElse(
      CompletableFuture<R> first,
      Class<? extends EvenkeelException> type,
      Optional<Supplier<CompletableFuture<R>>> second) {
    return first
        .handle(
            (value, error) -> {
              if (error == null) {
                return CompletableFuture.completedFuture(value);
              }
              EvenkeelException own = Errors.of(error);
              return type.isInstance(own) && second.isPresent()
                  ? second.get().get()
                  : CompletableFuture.<R>failedFuture(own);
            })
        .thenCompose(Function.identity());
  }
}
