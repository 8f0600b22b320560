package dev.evenkeel.client;

import dev.evenkeel.client.internal.rpc.Running;
import dev.evenkeel.client.internal.wire.Elements;
import dev.evenkeel.client.internal.wire.Filler;
import dev.evenkeel.client.internal.wire.Marshallers;
import dev.evenkeel.client.internal.wire.Outgoing;
import dev.evenkeel.client.internal.wire.WireException;
import dev.evenkeel.v1.ClipGradientsRequest;
import dev.evenkeel.v1.ClipGradientsResponse;
import dev.evenkeel.v1.ClipGradientsStreamRequest;
import dev.evenkeel.v1.ClipGradientsStreamResponse;
import dev.evenkeel.v1.ClipMode;
import dev.evenkeel.v1.TensorOpsServiceGrpc;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** Clippings whose gradients go and come in pieces, in both directions at once. */
record ClipExchange(Engine engine, Running running, Limits limits) {
  /** Clips gradients, the first of which has this index among those of the program. */
  CompletableFuture<Clipped> clip(
      ClipGradientsRequest options, List<Tensor> gradients, int firstIndex) {
    Pieces pieces = new Pieces(limits.pieces(1));
    pieces.add(
        new Outgoing()
            .message(ClipGradientsStreamRequest.HEADER_FIELD_NUMBER, Outgoing.of(options)));
    for (Tensor gradient : gradients) {
      pieces
          .add(
              new Outgoing()
                  .tensor(
                      ClipGradientsStreamRequest.TENSOR_FIELD_NUMBER,
                      gradient.message().described()))
          .add(gradient.elements());
    }
    Taking taking = new Taking(options.getMode(), gradients, firstIndex);
    return engine.stream(
            running,
            TensorOpsServiceGrpc.getClipGradientsStreamMethod(),
            pieces,
            Marshallers.stream(ClipGradientsStreamResponse.parser(), taking::filler),
            answer -> taking.take(answer.rest()))
        .thenApply(done -> taking.result());
  }

  /** What has come of the response. */
  private static final class Taking {
    private final ClipMode mode;
    private final List<Tensor> sent;
    private final int firstIndex;
    private final List<Tensor> clipped = new ArrayList<>();
    private Filler output;
    private Object header;
    private ClipGradientsResponse summary;

    Taking(ClipMode mode, List<Tensor> sent, int firstIndex) {
      this.mode = mode;
      this.sent = sent;
      this.firstIndex = firstIndex;
    }

    Filler filler(int field) {
      if (field != ClipGradientsStreamResponse.DATA_FIELD_NUMBER) {
        return null;
      }
      if (output == null) {
        throw new WireException("tensor", "is missing before data: each gradient begins with one");
      }
      return output;
    }

    void take(ClipGradientsStreamResponse message) {
      if (message == null) {
        return;
      }
      switch (message.getPartCase()) {
        case HEADER -> {
          Parts.expectFirst(header);
          header = message.getHeader();
        }
        case TENSOR -> begin(message.getTensor());
        case SUMMARY -> {
          finish();
          summary = message.getSummary();
        }
        case DATA, PART_NOT_SET -> {
          // no elements
        }
      }
    }

    private void begin(dev.evenkeel.v1.Tensor described) {
      Parts.expectHeader(header);
      finish();
      int index = clipped.size();
      if (index == sent.size()) {
        throw new WireException("gradients", "are more than were sent");
      }
      Tensor gradient = sent.get(index);
      String field = "gradients[" + (firstIndex + index) + "]";
      Answers.expect(gradient, field, Parts.described(described));
      output =
          new Filler(field + ".data", Elements.allocate(gradient.size(), gradient.dtype().bytes()));
    }

    private void finish() {
      if (output != null) {
        clipped.add(sent.get(clipped.size()).with(output.complete()));
        output = null;
      }
    }

    Clipped result() {
      Parts.expectSummary(summary);
      if (clipped.size() < sent.size()) {
        throw new WireException(
            "gradients", "end before the one at index " + (firstIndex + clipped.size()));
      }
      return ClipGradients.numbers(mode, summary, clipped);
    }
  }
}
