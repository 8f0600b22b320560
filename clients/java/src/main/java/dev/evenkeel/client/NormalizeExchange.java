package dev.evenkeel.client;

import dev.evenkeel.client.internal.rpc.Running;
import dev.evenkeel.client.internal.wire.Elements;
import dev.evenkeel.client.internal.wire.Filler;
import dev.evenkeel.client.internal.wire.Marshallers;
import dev.evenkeel.client.internal.wire.Outgoing;
import dev.evenkeel.client.internal.wire.TensorMessage;
import dev.evenkeel.v1.NormalizeResponse;
import dev.evenkeel.v1.NormalizeStreamRequest;
import dev.evenkeel.v1.NormalizeStreamResponse;
import dev.evenkeel.v1.TensorOpsServiceGrpc;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.function.Supplier;

/** A normalization whose tensor goes and comes in pieces, in both directions at once. */
record NormalizeExchange(
    Engine engine, Running running, Limits limits, NormalizeOptions options, Tensor input) {
  CompletableFuture<Normalized> inOnePass() {
    return exchange(options);
  }

  /**
   * Where the tensor's own statistics are used, they can be measured first, so that the server
   * holds no more than a chunk.
   */
  Optional<Supplier<CompletableFuture<Normalized>>> twoPasses() {
    return options.useOwnStatistics() ? Optional.of(this::inTwoPasses) : Optional.empty();
  }

  private CompletableFuture<Normalized> inTwoPasses() {
    return MeasureStatistics.measure(engine, running, limits, options.numbers(), input, null)
        .thenCompose(statistics -> exchange(options.withStatistics(statistics)));
  }

  private CompletableFuture<Normalized> exchange(NormalizeOptions header) {
    Outgoing first =
        new Outgoing()
            .message(
                NormalizeStreamRequest.HEADER_FIELD_NUMBER,
                header.request(input.message().described(), null));
    Elements output = Elements.allocate(input.size(), input.dtype().bytes());
    Taking taking = new Taking(new Filler("data", output));
    return engine.stream(
            running,
            TensorOpsServiceGrpc.getNormalizeStreamMethod(),
            new Pieces(limits.pieces(1)).add(first).add(input.elements()),
            Marshallers.stream(NormalizeStreamResponse.parser(), taking::filler),
            answer -> taking.take(answer.rest()))
        .thenApply(done -> taking.result());
  }

  /** What has come of the response. */
  private final class Taking {
    private final Filler output;
    private NormalizeResponse header;
    private NormalizeResponse summary;

    Taking(Filler output) {
      this.output = output;
    }

    Filler filler(int field) {
      if (field != NormalizeStreamResponse.DATA_FIELD_NUMBER) {
        return null;
      }
      Parts.expectHeader(header);
      return output;
    }

    void take(NormalizeStreamResponse message) {
      if (message == null) {
        return;
      }
      switch (message.getPartCase()) {
        case HEADER -> {
          Parts.expectFirst(header);
          header = message.getHeader();
          Answers.expect(input, "output", Parts.described(header.getOutput()));
        }
        case SUMMARY -> summary = message.getSummary();
        case DATA, PART_NOT_SET -> {
          // no elements
        }
      }
    }

    Normalized result() {
      Parts.expectSummary(summary);
      return options.result(
          input, input.with(output.complete()), header.getAxesList(), this::summarized);
    }

    private TensorMessage summarized(int field) {
      return switch (field) {
        case NormalizeResponse.MEAN_FIELD_NUMBER ->
            summary.hasMean() ? Parts.tensor("mean", summary.getMean()) : null;
        case NormalizeResponse.RSTD_FIELD_NUMBER ->
            summary.hasRstd() ? Parts.tensor("rstd", summary.getRstd()) : null;
        case NormalizeResponse.RUNNING_MEAN_FIELD_NUMBER ->
            summary.hasRunningMean()
                ? Parts.tensor("running_mean", summary.getRunningMean())
                : null;
        case NormalizeResponse.RUNNING_VAR_FIELD_NUMBER ->
            summary.hasRunningVar() ? Parts.tensor("running_var", summary.getRunningVar()) : null;
        default -> null;
      };
    }
  }
}
