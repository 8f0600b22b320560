package dev.evenkeel.client;

import dev.evenkeel.client.internal.rpc.Running;
import dev.evenkeel.client.internal.wire.Elements;
import dev.evenkeel.client.internal.wire.Filler;
import dev.evenkeel.client.internal.wire.Marshallers;
import dev.evenkeel.client.internal.wire.Outgoing;
import dev.evenkeel.client.internal.wire.WireException;
import dev.evenkeel.v1.DropoutRequest;
import dev.evenkeel.v1.DropoutResponse;
import dev.evenkeel.v1.DropoutStreamRequest;
import dev.evenkeel.v1.DropoutStreamResponse;
import dev.evenkeel.v1.TensorOpsServiceGrpc;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/**
 * A dropout, forward or backward, whose tensor goes and comes in pieces, in both directions at
 * once.
 *
 * @param options the options of either direction, which have the same fields
 * @param input the input, or the gradient of the output
 * @param maskBytes how long the mask is; 0 unless it was asked for
 */
record DropoutExchange(
    Engine engine,
    Running running,
    Limits limits,
    DropoutRequest options,
    Tensor input,
    long maskBytes,
    boolean backward) {
  CompletableFuture<Dropped> run() {
    // Input and gradient are the same field of the two requests.
    Outgoing header =
        Outgoing.of(options).tensor(DropoutRequest.INPUT_FIELD_NUMBER, input.message().described());
    int field =
        backward
            ? DropoutStreamRequest.BACKWARD_HEADER_FIELD_NUMBER
            : DropoutStreamRequest.HEADER_FIELD_NUMBER;
    Taking taking = new Taking();
    return engine.stream(
            running,
            TensorOpsServiceGrpc.getDropoutStreamMethod(),
            new Pieces(limits.pieces(1))
                .add(new Outgoing().message(field, header))
                .add(input.elements()),
            Marshallers.stream(DropoutStreamResponse.parser(), taking::filler),
            answer -> taking.take(answer.rest()))
        .thenApply(done -> taking.result());
  }

  /** What has come of the response. */
  private final class Taking {
    private final Filler output =
        new Filler("data", Elements.allocate(input.size(), input.dtype().bytes()));
    private final MaskBytes mask = new MaskBytes((int) maskBytes);
    private Object header;
    private DropoutResponse summary;

    Filler filler(int field) {
      if (field != DropoutStreamResponse.DATA_FIELD_NUMBER) {
        return null;
      }
      Parts.expectHeader(header);
      return output;
    }

    void take(DropoutStreamResponse message) {
      if (message == null) {
        return;
      }
      switch (message.getPartCase()) {
        case HEADER -> begin("output", message.getHeader().getOutput(), !backward);
        case BACKWARD_HEADER ->
            begin("grad_input", message.getBackwardHeader().getGradInput(), backward);
        case SUMMARY -> summary = message.getSummary();
        case MASK -> mask.add(message.getMask());
        case DATA, PART_NOT_SET -> {
          // no elements
        }
      }
    }

    private void begin(String field, dev.evenkeel.v1.Tensor tensor, boolean expected) {
      Parts.expectFirst(header);
      if (!expected) {
        throw new WireException("header", "belongs to another call");
      }
      Answers.expect(input, field, Parts.described(tensor));
      header = tensor;
    }

    Dropped result() {
      Parts.expectSummary(summary);
      Optional<Mask> bits =
          options.getReturnMask() && !backward
              ? Optional.of(new Mask(DropoutCall.draws(options, input), mask.complete()))
              : Optional.empty();
      DropoutCall.checkKept(summary.getKept(), input);
      return new Dropped(input.with(output.complete()), summary.getKept(), bits);
    }
  }
}
