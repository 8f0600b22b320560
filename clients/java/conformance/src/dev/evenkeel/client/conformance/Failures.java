package dev.evenkeel.client.conformance;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import dev.evenkeel.client.EvenkeelException;
import dev.evenkeel.client.InvalidArgumentException;
import dev.evenkeel.client.NonfiniteNormException;
import dev.evenkeel.client.OverloadedException;
import java.time.Duration;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletionException;

/** Errors as the protocol has them. */
final class Failures {
  private Failures() {}

  static JsonObject of(RuntimeException thrown) {
    JsonObject error = new JsonObject();
    error.add("fields", new JsonArray());
    if (thrown instanceof CancellationException) {
      error.addProperty("code", "CANCELLED");
      return error;
    }
    Throwable cause = thrown instanceof CompletionException ? thrown.getCause() : thrown;
    if (!(cause instanceof EvenkeelException failure)) {
      throw thrown;
    }
    error.addProperty("code", failure.code().name());
    error.addProperty("reason", failure.reason().orElse(null));
    error.addProperty("message", failure.getMessage());
    if (failure instanceof InvalidArgumentException invalid) {
      invalid.fields().forEach(field -> error.getAsJsonArray("fields").add(field.path()));
    }
    if (failure instanceof OverloadedException overloaded) {
      error.addProperty(
          "retry_after_ms", overloaded.retryAfter().map(Duration::toMillis).orElse(null));
    }
    if (failure instanceof NonfiniteNormException nonfinite) {
      error.add("norm", norm(nonfinite));
    }
    return error;
  }

  private static JsonObject norm(NonfiniteNormException error) {
    JsonObject norm = new JsonObject();
    norm.add("total_norm", Values.number(error.totalNorm()));
    norm.addProperty("nan_elements", Long.toUnsignedString(error.nanElements()));
    norm.addProperty("infinite_elements", Long.toUnsignedString(error.infiniteElements()));
    norm.addProperty("nonfinite_gradients", Long.toUnsignedString(error.nonfiniteGradients()));
    JsonObject gradients = new JsonObject();
    error.gradients().forEach((index, name) -> gradients.addProperty(index.toString(), name));
    norm.add("gradients", gradients);
    return norm;
  }
}
