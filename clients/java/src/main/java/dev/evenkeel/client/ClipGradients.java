package dev.evenkeel.client;

import dev.evenkeel.client.internal.rpc.Running;
import dev.evenkeel.client.internal.wire.Incoming;
import dev.evenkeel.client.internal.wire.Outgoing;
import dev.evenkeel.client.internal.wire.TensorMessage;
import dev.evenkeel.client.internal.wire.WireException;
import dev.evenkeel.v1.ClipGradientsRequest;
import dev.evenkeel.v1.ClipGradientsResponse;
import dev.evenkeel.v1.ClipMode;
import dev.evenkeel.v1.TensorOpsServiceGrpc;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;

/**
 * A clipping of gradients. Made by {@link Client#clipGradNorm} and {@link Client#clipGradValue}.
 */
public final class ClipGradients extends Call<Clipped, ClipGradients> {
  /** What the response has beside the gradients and their norms, with room to spare. */
  private static final int NUMBERS = 64;

  private final List<Tensor> gradients;
  private final ClipGradientsRequest.Builder request;

  ClipGradients(Engine engine, List<Tensor> gradients, ClipMode mode, double threshold) {
    super(engine);
    this.gradients = gradients;
    this.request = ClipGradientsRequest.newBuilder().setMode(mode).setThreshold(threshold);
  }

  @Override
  ClipGradients self() {
    return this;
  }

  /**
   * By norm: clips each gradient by its own norm instead of by that of all.
   *
   * @param perTensor true for each by its own. Default: false
   * @return this call
   * @throws InvalidArgumentException for a clipping by value
   */
  public ClipGradients perTensor(boolean perTensor) {
    if (request.getMode() == ClipMode.CLIP_MODE_VALUE && perTensor) {
      throw InvalidArgumentException.of(
          "per_tensor", "a clipping by value has no norm that decides");
    }
    if (request.getMode() != ClipMode.CLIP_MODE_VALUE) {
      request.setMode(perTensor ? ClipMode.CLIP_MODE_NORM_PER_TENSOR : ClipMode.CLIP_MODE_NORM);
    }
    return this;
  }

  /**
   * The order of the norm. By value, it is that of the norm that is reported.
   *
   * @param order above 0, or infinity for the largest absolute value. Default: 2
   * @return this call
   */
  public ClipGradients normType(double order) {
    request.setNormType(order);
    return this;
  }

  /**
   * By norm: a norm that was measured elsewhere, of gradients of which these are a part; it
   * replaces the norm of these. Refused for the other modes.
   *
   * @param norm the norm, not negative, such as {@link NormPartial#totalNorm}
   * @return this call
   */
  public ClipGradients totalNorm(double norm) {
    request.setTotalNorm(norm);
    return this;
  }

  /**
   * The number that is added to the norm before the threshold is divided by it. Refused by value.
   *
   * @param epsilon finite, not negative. Default: 1e-6, as in PyTorch; Optax and TensorFlow use 0
   * @return this call
   */
  public ClipGradients epsilon(double epsilon) {
    request.setEpsilon(epsilon);
    return this;
  }

  /**
   * Whether the exact norm of the result must not exceed the threshold, not even by a rounding, as
   * differential privacy requires. For norms of order 1, 2 and infinity; refused by value and
   * beside a given norm.
   *
   * @param notAbove true for never above. Default: false
   * @return this call
   */
  public ClipGradients notAbove(boolean notAbove) {
    request.setNotAbove(notAbove);
    return this;
  }

  /**
   * Whether a norm that is NaN or infinite is a {@link NonfiniteNormException}, and nothing is
   * clipped.
   *
   * @param error true for the error. Default: false: a NaN norm makes everything NaN, an infinite
   *     one makes finite elements 0 and infinite ones NaN, as in PyTorch
   * @return this call
   */
  public ClipGradients errorIfNonfinite(boolean error) {
    request.setErrorIfNonfinite(error);
    return this;
  }

  @Override
  CompletableFuture<Clipped> start(Running running) {
    ClipGradientsRequest options = request.build();
    Outgoing message = Outgoing.of(options);
    gradients.forEach(
        gradient ->
            message.tensor(ClipGradientsRequest.GRADIENTS_FIELD_NUMBER, gradient.message()));
    // The response has the numbers beside the gradients, with a norm for each at most.
    long bytes = message.length() + NUMBERS + (long) Double.BYTES * gradients.size();
    boolean answersEarly = options.getMode() == ClipMode.CLIP_MODE_VALUE || options.hasTotalNorm();
    return engine
        .limits(running, bytes)
        .thenCompose(
            limits -> {
              boolean fits = limits.fits(bytes);
              boolean faster = answersEarly && bytes >= Limits.FAST_STREAM;
              if (!limits.hasStreams() || fits && !faster) {
                return unary(running, message);
              }
              ClipExchange exchange = new ClipExchange(engine, running, limits);
              return Futures.orElse(
                  exchange.clip(options, gradients, 0),
                  NeedsTwoPassesException.class,
                  fits
                      ? Optional.of(() -> unary(running, message))
                      : new ClipPasses(exchange, options, gradients).twoPasses());
            });
  }

  private CompletableFuture<Clipped> unary(Running running, Outgoing message) {
    return engine
        .unary(
            running,
            TensorOpsServiceGrpc.getClipGradientsMethod(),
            message,
            ClipGradientsResponse.parser(),
            Set.of(ClipGradientsResponse.GRADIENTS_FIELD_NUMBER))
        .thenApply(this::result);
  }

  private Clipped result(Incoming<ClipGradientsResponse> answer) {
    List<TensorMessage> given = answer.tensors(ClipGradientsResponse.GRADIENTS_FIELD_NUMBER);
    if (given.size() != gradients.size()) {
      throw new WireException(
          "gradients", "are " + given.size() + " where " + gradients.size() + " were sent");
    }
    List<Tensor> clipped = new ArrayList<>(given.size());
    for (int i = 0; i < given.size(); i++) {
      clipped.add(Answers.like(gradients.get(i), "gradients[" + i + "]", given.get(i)));
    }
    return numbers(request.getMode(), answer.rest(), clipped);
  }

  /** The numbers of a response, beside the gradients. */
  static Clipped numbers(ClipMode mode, ClipGradientsResponse response, List<Tensor> clipped) {
    int norms = mode == ClipMode.CLIP_MODE_NORM_PER_TENSOR ? clipped.size() : 0;
    Answers.due("the number of tensor_norms", response.getTensorNormsCount(), norms);
    return new Clipped(
        List.copyOf(clipped),
        response.getTotalNorm(),
        response.getScale(),
        response.getClippedElements(),
        List.copyOf(response.getTensorNormsList()));
  }
}
