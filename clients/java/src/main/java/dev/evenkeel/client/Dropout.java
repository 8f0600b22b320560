package dev.evenkeel.client;

import dev.evenkeel.client.internal.rpc.Running;
import dev.evenkeel.client.internal.wire.Incoming;
import dev.evenkeel.client.internal.wire.Outgoing;
import dev.evenkeel.client.internal.wire.WireException;
import dev.evenkeel.v1.DropoutRequest;
import dev.evenkeel.v1.DropoutResponse;
import dev.evenkeel.v1.TensorOpsServiceGrpc;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;

/**
 * A dropout: drops elements, or channels, by a mask that depends on p, seed and offset alone. Made
 * by {@link Client#dropout}.
 */
public final class Dropout extends DropoutCall<Dropped, Dropout> {
  private final Tensor input;

  Dropout(Engine engine, Tensor input, double p) {
    super(engine, p);
    this.input = Arguments.required("input", input);
  }

  @Override
  Dropout self() {
    return this;
  }

  /**
   * Whether the mask comes back.
   *
   * @param returned true for yes. Default: false
   * @return this call
   */
  public Dropout returnMask(boolean returned) {
    request.setReturnMask(returned);
    return this;
  }

  @Override
  CompletableFuture<Dropped> start(Running running) {
    Outgoing message =
        Outgoing.of(request.build()).tensor(DropoutRequest.INPUT_FIELD_NUMBER, input.message());
    long maskBytes = request.getReturnMask() ? (draws(request, input) + 7) / 8 : 0;
    // The response has the mask beside the elements.
    long bytes = message.length() + maskBytes;
    return engine
        .limits(running, bytes)
        .thenCompose(
            limits ->
                limits.hasStreams() && (!limits.fits(bytes) || bytes >= Limits.FAST_STREAM)
                    ? new DropoutExchange(
                            engine, running, limits, request.build(), input, maskBytes, false)
                        .run()
                    : engine
                        .unary(
                            running,
                            TensorOpsServiceGrpc.getDropoutMethod(),
                            message,
                            DropoutResponse.parser(),
                            Set.of(DropoutResponse.OUTPUT_FIELD_NUMBER))
                        .thenApply(answer -> result(answer, maskBytes)));
  }

  private Dropped result(Incoming<DropoutResponse> answer, long maskBytes) {
    Optional<Mask> mask = Optional.empty();
    if (request.getReturnMask()) {
      byte[] bits = answer.rest().getMask().toByteArray();
      if (bits.length != maskBytes) {
        throw new WireException(
            "mask", "has " + bits.length + " bytes where " + maskBytes + " were expected");
      }
      mask = Optional.of(new Mask(draws(request, input), bits));
    }
    Tensor output =
        Answers.like(input, "output", answer.tensor(DropoutResponse.OUTPUT_FIELD_NUMBER));
    checkKept(answer.rest().getKept(), input);
    return new Dropped(output, answer.rest().getKept(), mask);
  }
}
