package dev.evenkeel.client;

import dev.evenkeel.client.internal.rpc.Running;
import dev.evenkeel.client.internal.wire.Incoming;
import dev.evenkeel.client.internal.wire.Marshallers;
import dev.evenkeel.client.internal.wire.Outgoing;
import dev.evenkeel.client.internal.wire.WireException;
import dev.evenkeel.v1.MeasureGradientsRequest;
import dev.evenkeel.v1.MeasureGradientsResponse;
import dev.evenkeel.v1.TensorOpsServiceGrpc;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicReference;

/**
 * The measurement of a norm, in a form that merges. Gradients of any size are sent in pieces. Made
 * by {@link Client#measureGradients}.
 */
public final class MeasureGradients extends Call<NormPartial, MeasureGradients> {
  private final List<Tensor> gradients;
  private Double normType;

  MeasureGradients(Engine engine, List<Tensor> gradients) {
    super(engine);
    this.gradients = gradients;
  }

  @Override
  MeasureGradients self() {
    return this;
  }

  /**
   * The order of the norm.
   *
   * @param order 1, 2 or infinity, whose terms add exactly. Default: 2
   * @return this call
   */
  public MeasureGradients normType(double order) {
    normType = order;
    return this;
  }

  @Override
  CompletableFuture<NormPartial> start(Running running) {
    long bytes = gradients.stream().mapToLong(gradient -> gradient.elements().byteLength()).sum();
    return engine
        .limits(running, bytes)
        .thenCompose(limits -> measure(engine, running, limits, gradients, normType));
  }

  /** Measures gradients; {@code normType}: null for the default. */
  static CompletableFuture<NormPartial> measure(
      Engine engine, Running running, Limits limits, List<Tensor> gradients, Double normType) {
    MeasureGradientsRequest.Builder first = MeasureGradientsRequest.newBuilder();
    if (normType != null) {
      first.setNormType(normType);
    }
    Pieces pieces = new Pieces(limits.pieces(1)).add(Outgoing.of(first.build()));
    for (Tensor gradient : gradients) {
      // Pieces are of whole elements, and shapes do not matter beyond their number.
      pieces.add(
          gradient.elements(),
          (elements, offset, length) ->
              new Outgoing()
                  .message(
                      MeasureGradientsRequest.GRADIENTS_FIELD_NUMBER,
                      Outgoing.of(
                              dev.evenkeel.v1.Tensor.newBuilder()
                                  .setDtype(gradient.dtype().wire())
                                  .addShape(length / elements.width())
                                  .build())
                          .data(Outgoing.DATA, elements, offset, length)));
    }
    AtomicReference<Incoming<MeasureGradientsResponse>> answer = new AtomicReference<>();
    return engine.stream(
            running,
            TensorOpsServiceGrpc.getMeasureGradientsMethod(),
            pieces,
            Marshallers.stream(MeasureGradientsResponse.parser(), field -> null),
            message -> Answers.only(answer, message))
        .thenApply(
            done -> {
              if (answer.get() == null || !answer.get().rest().hasPartial()) {
                throw new WireException("partial", "is missing");
              }
              return checked(answer.get().rest(), gradients, normType == null ? 2 : normType);
            });
  }

  /** The partial of an answer, which must be of this order and of these gradients. */
  private static NormPartial checked(
      MeasureGradientsResponse answer, List<Tensor> gradients, double order) {
    NormPartial partial = Answers.partial(() -> NormPartial.of(answer.getPartial()));
    Answers.due("partial.norm_type", partial.normType(), order);
    long elements = gradients.stream().mapToLong(Tensor::size).sum();
    Answers.due("partial.elements", partial.elements(), elements);
    // A zero may come with a sign.
    Answers.due("total_norm", answer.getTotalNorm() + 0.0, partial.totalNorm() + 0.0);
    return partial;
  }
}
