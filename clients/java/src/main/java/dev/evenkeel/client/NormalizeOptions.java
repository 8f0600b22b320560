package dev.evenkeel.client;

import dev.evenkeel.client.internal.wire.Outgoing;
import dev.evenkeel.client.internal.wire.TensorMessage;
import dev.evenkeel.v1.NormalizeBackwardRequest;
import dev.evenkeel.v1.NormalizeRequest;
import dev.evenkeel.v1.NormalizeResponse;
import java.util.List;
import java.util.function.IntFunction;

/**
 * The options of a normalization. NormalizeRequest and NormalizeBackwardRequest have the same
 * fields with the same numbers, except for the gradient of the output; so one encoding serves both.
 *
 * @param numbers what is no tensor
 * @param weight the scale, or null
 * @param bias the shift, or null
 * @param runningMean the running mean, or null
 * @param runningVar the running variance, or null
 */
record NormalizeOptions(
    NormalizeRequest numbers, Tensor weight, Tensor bias, Tensor runningMean, Tensor runningVar) {
  /**
   * A request with the input, which may have no elements, and perhaps the gradient of the output.
   */
  Outgoing request(TensorMessage input, Tensor gradOutput) {
    return Outgoing.of(numbers)
        .tensor(NormalizeRequest.WEIGHT_FIELD_NUMBER, message(weight))
        .tensor(NormalizeRequest.BIAS_FIELD_NUMBER, message(bias))
        .tensor(NormalizeRequest.RUNNING_MEAN_FIELD_NUMBER, message(runningMean))
        .tensor(NormalizeRequest.RUNNING_VAR_FIELD_NUMBER, message(runningVar))
        .tensor(NormalizeRequest.INPUT_FIELD_NUMBER, input)
        .tensor(NormalizeBackwardRequest.GRAD_OUTPUT_FIELD_NUMBER, message(gradOutput));
  }

  /**
   * The result with the output; the other tensors of the response are those in the fields of
   * NormalizeResponse, or null.
   */
  Normalized result(
      Tensor input, Tensor output, List<Integer> axes, IntFunction<TensorMessage> field) {
    long[] sets = Pooling.sets(numbers, input.shape());
    boolean asked = numbers.getReturnStatistics();
    TensorMessage mean = field.apply(NormalizeResponse.MEAN_FIELD_NUMBER);
    TensorMessage rstd = field.apply(NormalizeResponse.RSTD_FIELD_NUMBER);
    TensorMessage newMean = field.apply(NormalizeResponse.RUNNING_MEAN_FIELD_NUMBER);
    TensorMessage newVar = field.apply(NormalizeResponse.RUNNING_VAR_FIELD_NUMBER);
    return new Normalized(
        output,
        Answers.axes(axes, Pooling.axes(numbers, input.shape().length)),
        Answers.statistic("mean", mean, asked && Pooling.hasMean(numbers), input, sets),
        Answers.statistic("rstd", rstd, asked, input, sets),
        Answers.running(runningMean, "running_mean", newMean),
        Answers.running(runningVar, "running_var", newVar));
  }

  private static TensorMessage message(Tensor tensor) {
    return tensor == null ? null : tensor.message();
  }

  /** Neither running nor merged ones. */
  boolean useOwnStatistics() {
    boolean training = numbers.hasTraining() ? numbers.getTraining() : runningMean == null;
    return !numbers.hasStatistics() && training;
  }

  /**
   * Whether the server answers each row, or other sets that lie next to each other, before it has
   * the whole tensor.
   */
  boolean answersEarly() {
    return numbers.getKind() != dev.evenkeel.v1.NormKind.NORM_KIND_BATCH || !useOwnStatistics();
  }

  NormalizeOptions withStatistics(StatisticsPartial statistics) {
    NormalizeRequest with = numbers.toBuilder().setStatistics(statistics.toWire()).build();
    return new NormalizeOptions(with, weight, bias, runningMean, runningVar);
  }
}
