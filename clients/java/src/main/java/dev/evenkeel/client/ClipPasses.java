package dev.evenkeel.client;

import dev.evenkeel.v1.ClipGradientsRequest;
import dev.evenkeel.v1.ClipMode;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.function.Supplier;

/**
 * A clipping in two passes: gradients are measured, and then clipped by a norm that is known. The
 * server holds a chunk.
 */
final class ClipPasses {
  private final ClipExchange exchange;
  private final ClipGradientsRequest options;
  private final List<Tensor> gradients;

  ClipPasses(ClipExchange exchange, ClipGradientsRequest options, List<Tensor> gradients) {
    this.exchange = exchange;
    this.options = options;
    this.gradients = gradients;
  }

  /** The two passes, where the norm can be measured first. */
  Optional<Supplier<CompletableFuture<Clipped>>> twoPasses() {
    return gradients.isEmpty() || !isMeasured() ? Optional.empty() : Optional.of(this::clip);
  }

  private CompletableFuture<Clipped> clip() {
    if (options.getMode() == ClipMode.CLIP_MODE_NORM) {
      return measure(gradients)
          .thenCompose(
              norm ->
                  exchange.clip(
                      options.toBuilder().setTotalNorm(norm.totalNorm()).build(), gradients, 0));
    }
    return perTensor(0, new Sums());
  }

  /** Whether gradients have to be measured first, and can be. */
  private boolean isMeasured() {
    double order = options.hasNormType() ? options.getNormType() : 2;
    boolean merges = order == 1 || order == 2 || order == Double.POSITIVE_INFINITY;
    boolean byNorm = options.getMode() != ClipMode.CLIP_MODE_VALUE;
    return byNorm && merges && !options.hasTotalNorm() && !options.getNotAbove();
  }

  private CompletableFuture<NormPartial> measure(List<Tensor> some) {
    Double order = options.hasNormType() ? options.getNormType() : null;
    return MeasureGradients.measure(
        exchange.engine(), exchange.running(), exchange.limits(), some, order);
  }

  /** What is known of the gradients that are clipped. */
  private static final class Sums {
    private final List<Tensor> clipped = new ArrayList<>();
    private final List<Double> norms = new ArrayList<>();
    private NormPartial whole;
    private double scale = Double.POSITIVE_INFINITY;
  }

  /** Every gradient is a clipping of its own, by the norm of all of it. */
  private CompletableFuture<Clipped> perTensor(int index, Sums sums) {
    if (index == gradients.size()) {
      return CompletableFuture.completedFuture(
          new Clipped(
              List.copyOf(sums.clipped),
              sums.whole.totalNorm(),
              sums.scale,
              0,
              List.copyOf(sums.norms)));
    }
    List<Tensor> one = gradients.subList(index, index + 1);
    return measure(one)
        .thenCompose(
            norm -> {
              sums.whole = sums.whole == null ? norm : sums.whole.merge(norm);
              sums.norms.add(norm.totalNorm());
              ClipGradientsRequest byNorm =
                  options.toBuilder()
                      .setMode(ClipMode.CLIP_MODE_NORM)
                      .setTotalNorm(norm.totalNorm())
                      .build();
              return exchange
                  .clip(byNorm, one, index)
                  .handle((clipped, error) -> add(sums, clipped, error, index));
            })
        .thenCompose(added -> perTensor(index + 1, added));
  }

  private static Sums add(Sums sums, Clipped clipped, Throwable error, int index) {
    if (error != null) {
      EvenkeelException own = Errors.of(error);
      throw own instanceof NonfiniteNormException nonfinite ? nonfinite.ofGradient(index) : own;
    }
    sums.clipped.addAll(clipped.gradients());
    sums.scale =
        Double.isNaN(clipped.scale()) ? clipped.scale() : Math.min(sums.scale, clipped.scale());
    return sums;
  }
}
