package dev.evenkeel.client;

import dev.evenkeel.client.internal.rpc.Running;
import dev.evenkeel.client.internal.wire.Incoming;
import dev.evenkeel.client.internal.wire.Outgoing;
import dev.evenkeel.v1.NormalizeResponse;
import dev.evenkeel.v1.TensorOpsServiceGrpc;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;

/**
 * A normalization: y = (x - mean) / sqrt(var + eps) * weight + bias, with the biased variance; RMS
 * leaves the mean out. L2: y = x / max(sqrt(sum(x^2)), eps). Made by {@link Client#normalize} and
 * its short forms.
 */
public final class Normalize extends NormalizationCall<Normalized, Normalize> {
  private static final Set<Integer> TENSORS =
      Set.of(
          NormalizeResponse.MEAN_FIELD_NUMBER,
          NormalizeResponse.RSTD_FIELD_NUMBER,
          NormalizeResponse.RUNNING_MEAN_FIELD_NUMBER,
          NormalizeResponse.RUNNING_VAR_FIELD_NUMBER,
          NormalizeResponse.OUTPUT_FIELD_NUMBER);

  private final Tensor input;

  Normalize(Engine engine, Tensor input) {
    super(engine);
    this.input = Arguments.required("input", input);
  }

  @Override
  Normalize self() {
    return this;
  }

  @Override
  CompletableFuture<Normalized> start(Running running) {
    NormalizeOptions options = options();
    Outgoing message = options.request(input.message(), null);
    long bytes = message.length() + Pooling.statisticsBytes(options.numbers(), input);
    return engine
        .limits(running, bytes)
        .thenCompose(
            limits -> {
              boolean fits = limits.fits(bytes);
              boolean faster = options.answersEarly() && bytes >= Limits.FAST_STREAM;
              if (!limits.hasStreams() || fits && !faster) {
                return unary(running, options, message);
              }
              NormalizeExchange exchange =
                  new NormalizeExchange(engine, running, limits, options, input);
              return Futures.orElse(
                  exchange.inOnePass(),
                  NeedsTwoPassesException.class,
                  fits
                      ? Optional.of(() -> unary(running, options, message))
                      : exchange.twoPasses());
            });
  }

  private CompletableFuture<Normalized> unary(
      Running running, NormalizeOptions options, Outgoing message) {
    return engine
        .unary(
            running,
            TensorOpsServiceGrpc.getNormalizeMethod(),
            message,
            NormalizeResponse.parser(),
            TENSORS)
        .thenApply(answer -> result(options, answer));
  }

  private Normalized result(NormalizeOptions options, Incoming<NormalizeResponse> answer) {
    return options.result(
        input,
        Answers.like(input, "output", answer.tensor(NormalizeResponse.OUTPUT_FIELD_NUMBER)),
        answer.rest().getAxesList(),
        answer::tensor);
  }
}
