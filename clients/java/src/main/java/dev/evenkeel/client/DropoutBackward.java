package dev.evenkeel.client;

import dev.evenkeel.client.internal.rpc.Running;
import dev.evenkeel.client.internal.wire.Outgoing;
import dev.evenkeel.v1.DropoutBackwardRequest;
import dev.evenkeel.v1.DropoutBackwardResponse;
import dev.evenkeel.v1.TensorOpsServiceGrpc;
import java.util.Set;
import java.util.concurrent.CompletableFuture;

/**
 * The gradient of a dropout with respect to its input. The options are those of the forward call;
 * gradients of dropped elements are exactly +0.0. Made by {@link Client#dropoutBackward}.
 */
public final class DropoutBackward extends DropoutCall<Tensor, DropoutBackward> {
  private final Tensor gradOutput;

  DropoutBackward(Engine engine, Tensor gradOutput, double p) {
    super(engine, p);
    this.gradOutput = Arguments.required("grad_output", gradOutput);
  }

  @Override
  DropoutBackward self() {
    return this;
  }

  @Override
  CompletableFuture<Tensor> start(Running running) {
    Outgoing message =
        Outgoing.of(request.build())
            .tensor(DropoutBackwardRequest.GRAD_OUTPUT_FIELD_NUMBER, gradOutput.message());
    long bytes = message.length();
    return engine
        .limits(running, bytes)
        .thenCompose(
            limits ->
                limits.hasStreams() && (!limits.fits(bytes) || bytes >= Limits.FAST_STREAM)
                    ? new DropoutExchange(
                            engine, running, limits, request.build(), gradOutput, 0, true)
                        .run()
                        .thenApply(Dropped::output)
                    : engine
                        .unary(
                            running,
                            TensorOpsServiceGrpc.getDropoutBackwardMethod(),
                            message,
                            DropoutBackwardResponse.parser(),
                            Set.of(DropoutBackwardResponse.GRAD_INPUT_FIELD_NUMBER))
                        .thenApply(
                            answer ->
                                Answers.like(
                                    gradOutput,
                                    "grad_input",
                                    answer.tensor(
                                        DropoutBackwardResponse.GRAD_INPUT_FIELD_NUMBER))));
  }
}
