package dev.evenkeel.client;

import dev.evenkeel.client.internal.rpc.Running;
import dev.evenkeel.client.internal.wire.Elements;
import dev.evenkeel.client.internal.wire.Incoming;
import dev.evenkeel.client.internal.wire.Marshallers;
import dev.evenkeel.client.internal.wire.Outgoing;
import dev.evenkeel.client.internal.wire.TensorMessage;
import dev.evenkeel.client.internal.wire.WireException;
import dev.evenkeel.v1.MeasureStatisticsRequest;
import dev.evenkeel.v1.NormalizeBackwardRequest;
import dev.evenkeel.v1.NormalizeRequest;
import dev.evenkeel.v1.TensorOpsServiceGrpc;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.LongStream;

/**
 * The measurement of the statistics of a part of a tensor, in a form that merges. Tensors of any
 * size are sent in pieces. Made by {@link Client#measureStatistics}.
 */
public final class MeasureStatistics extends PooledCall<StatisticsPartial, MeasureStatistics> {
  private final Tensor input;
  private Tensor gradOutput;

  MeasureStatistics(Engine engine, Tensor input) {
    super(engine);
    this.input = Arguments.required("input", input);
  }

  @Override
  MeasureStatistics self() {
    return this;
  }

  /**
   * BATCH, INSTANCE: the gradient of the output. With it the statistics are those that {@link
   * NormalizeBackward#statistics} takes.
   *
   * @param gradient of the input's type and shape. Default: none
   * @return this call
   */
  public MeasureStatistics gradOutput(Tensor gradient) {
    gradOutput = Arguments.required("grad_output", gradient);
    return this;
  }

  @Override
  void validate() {
    super.validate();
    if (gradOutput != null
        && (gradOutput.dtype() != input.dtype() || gradOutput.size() != input.size())) {
      throw InvalidArgumentException.of(
          "grad_output", "expected the type and the shape of the input");
    }
  }

  @Override
  CompletableFuture<StatisticsPartial> start(Running running) {
    NormalizeRequest options = request.build();
    return engine
        .limits(running, input.elements().byteLength())
        .thenCompose(limits -> measure(engine, running, limits, options, input, gradOutput));
  }

  /** Measures the statistics of a tensor; {@code gradOutput} may be null. */
  static CompletableFuture<StatisticsPartial> measure(
      Engine engine,
      Running running,
      Limits limits,
      NormalizeRequest options,
      Tensor input,
      Tensor gradOutput) {
    NormalizeRequest.Builder pooled =
        NormalizeRequest.newBuilder().setKind(options.getKind()).addAllAxes(options.getAxesList());
    pooled.setGroups(options.getGroups());
    if (options.hasChannelAxis()) {
      pooled.setChannelAxis(options.getChannelAxis());
    }
    TensorMessage gradient = gradOutput == null ? null : gradOutput.message().described();
    Outgoing header =
        Outgoing.of(pooled.build())
            .tensor(NormalizeRequest.INPUT_FIELD_NUMBER, input.message().described())
            .tensor(NormalizeBackwardRequest.GRAD_OUTPUT_FIELD_NUMBER, gradient);
    int field =
        gradOutput == null
            ? MeasureStatisticsRequest.HEADER_FIELD_NUMBER
            : MeasureStatisticsRequest.BACKWARD_HEADER_FIELD_NUMBER;
    Elements gradients = gradOutput == null ? null : gradOutput.elements();
    Pieces pieces =
        new Pieces(limits.pieces(gradOutput == null ? 1 : 2))
            .add(new Outgoing().message(field, header))
            .add(
                input.elements(),
                (elements, offset, length) -> piece(elements, gradients, offset, length));
    AtomicReference<Incoming<dev.evenkeel.v1.StatisticsPartial>> answer = new AtomicReference<>();
    return engine.stream(
            running,
            TensorOpsServiceGrpc.getMeasureStatisticsMethod(),
            pieces,
            Marshallers.stream(dev.evenkeel.v1.StatisticsPartial.parser(), none -> null),
            message -> Answers.only(answer, message))
        .thenApply(
            done -> {
              if (answer.get() == null) {
                throw new WireException("the response", "is missing");
              }
              return checked(answer.get().rest(), options, input, gradOutput != null);
            });
  }

  /** The partial of an answer, which must be of this tensor. Each set takes time, so comes last. */
  private static StatisticsPartial checked(
      dev.evenkeel.v1.StatisticsPartial answer,
      NormalizeRequest options,
      Tensor input,
      boolean hasGradients) {
    long[] sets = Pooling.sets(options, input.shape());
    if (answer.getKind() != options.getKind()) {
      throw new WireException("kind", "is another one than was sent");
    }
    if (!answer.getShapeList().equals(LongStream.of(sets).boxed().toList())) {
      throw new WireException("shape", "is another one than that of the sets");
    }
    Answers.due("the number of sets", (long) answer.getSetsCount(), Shapes.size(sets));
    StatisticsPartial partial = Answers.partial(() -> StatisticsPartial.of(answer));
    if (answer.getSetsCount() > 0) {
      long elements = input.size() / answer.getSetsCount();
      Answers.due("sets[0].elements", partial.elements(), elements);
      if (partial.hasGradients() != hasGradients) {
        throw new WireException(
            "sets[0].sum_of_gradients", "must be there if, and only if, gradients were sent");
      }
    }
    return partial;
  }

  private static Outgoing piece(Elements elements, Elements gradients, long offset, long length) {
    Outgoing piece =
        new Outgoing().data(MeasureStatisticsRequest.DATA_FIELD_NUMBER, elements, offset, length);
    return gradients == null
        ? piece
        : piece.data(MeasureStatisticsRequest.GRAD_DATA_FIELD_NUMBER, gradients, offset, length);
  }
}
