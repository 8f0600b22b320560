package dev.evenkeel.client;

import dev.evenkeel.client.internal.rpc.Running;
import dev.evenkeel.client.internal.wire.Incoming;
import dev.evenkeel.client.internal.wire.Outgoing;
import dev.evenkeel.v1.NormalizeBackwardResponse;
import dev.evenkeel.v1.TensorOpsServiceGrpc;
import io.grpc.Status;
import java.util.Set;
import java.util.concurrent.CompletableFuture;

/**
 * The gradients of a normalization with respect to its input, weight and bias. The options are
 * those of the forward call. Input and gradient together must fit into a message of the server;
 * parts of them do, with {@link #statistics} of the whole. Made by {@link
 * Client#normalizeBackward}.
 */
public final class NormalizeBackward
    extends NormalizationCall<NormalizeGradients, NormalizeBackward> {
  private static final Set<Integer> TENSORS =
      Set.of(
          NormalizeBackwardResponse.GRAD_WEIGHT_FIELD_NUMBER,
          NormalizeBackwardResponse.GRAD_BIAS_FIELD_NUMBER,
          NormalizeBackwardResponse.GRAD_INPUT_FIELD_NUMBER);

  private final Tensor input;
  private final Tensor gradOutput;

  NormalizeBackward(Engine engine, Tensor input, Tensor gradOutput) {
    super(engine);
    this.input = Arguments.required("input", input);
    this.gradOutput = Arguments.required("grad_output", gradOutput);
  }

  @Override
  NormalizeBackward self() {
    return this;
  }

  @Override
  CompletableFuture<NormalizeGradients> start(Running running) {
    NormalizeOptions options = options();
    Outgoing message = options.request(input.message(), gradOutput);
    return engine
        .limits(running, message.length())
        .thenCompose(
            limits -> {
              if (!limits.fits(message.length())) {
                throw tooLarge(message.length(), limits.message());
              }
              return engine.unary(
                  running,
                  TensorOpsServiceGrpc.getNormalizeBackwardMethod(),
                  message,
                  NormalizeBackwardResponse.parser(),
                  TENSORS);
            })
        .thenApply(answer -> result(options, answer));
  }

  private static MessageTooLargeException tooLarge(long bytes, long limit) {
    String text =
        "the request of %d bytes is larger than the server's limit of %d bytes, and gradients of a normalization have no stream"
            .formatted(bytes, Math.min(limit, Integer.MAX_VALUE));
    return new MessageTooLargeException(
        new Fault(Status.Code.RESOURCE_EXHAUSTED, text, "MESSAGE_TOO_LARGE", null));
  }

  private NormalizeGradients result(
      NormalizeOptions options, Incoming<NormalizeBackwardResponse> answer) {
    return new NormalizeGradients(
        Answers.like(
            input, "grad_input", answer.tensor(NormalizeBackwardResponse.GRAD_INPUT_FIELD_NUMBER)),
        Answers.ifSent(
            options.weight(),
            "grad_weight",
            answer.tensor(NormalizeBackwardResponse.GRAD_WEIGHT_FIELD_NUMBER)),
        Answers.ifSent(
            options.bias(),
            "grad_bias",
            answer.tensor(NormalizeBackwardResponse.GRAD_BIAS_FIELD_NUMBER)));
  }
}
