package dev.evenkeel.client;

import dev.evenkeel.v1.NormalizeRequest;

/**
 * The options that a normalization and its gradients have in common. The server's defaults hold for
 * all that are not set.
 *
 * @param <R> the result
 * @param <S> the type of the call itself
 */
public abstract class NormalizationCall<R, S extends NormalizationCall<R, S>>
    extends PooledCall<R, S> {
  private Tensor weight;
  private Tensor bias;
  private Tensor runningMean;
  private Tensor runningVar;
  private StatisticsPartial statistics;

  NormalizationCall(Engine engine) {
    super(engine);
  }

  /**
   * The number that is added to the variance (RMS: to the mean square); L2: the smallest divisor of
   * the elements.
   *
   * @param eps finite, not negative. Default: 1e-5; RMS: 2^-23, and 2^-52 for float64; L2: 1e-12
   * @return this call
   */
  public final S eps(double eps) {
    request.setEps(eps);
    return self();
  }

  /**
   * BATCH, INSTANCE: whether to use the input's own statistics, or the running ones.
   *
   * @param training true for its own. Default: true unless running statistics are given
   * @return this call
   */
  public final S training(boolean training) {
    request.setTraining(training);
    return self();
  }

  /**
   * BATCH, INSTANCE: the weight of the new statistics in the running ones. It has no effect on
   * gradients.
   *
   * @param momentum in [0, 1]. Default: 0.1
   * @return this call
   */
  public final S momentum(double momentum) {
    request.setMomentum(momentum);
    return self();
  }

  /**
   * Whether mean and rstd come back. It has no effect on gradients.
   *
   * @param returned true for yes. Default: false
   * @return this call
   */
  public final S returnStatistics(boolean returned) {
    request.setReturnStatistics(returned);
    return self();
  }

  /**
   * The scale. Refused for L2.
   *
   * @param tensor of any type; LAYER, RMS: in the shape of the pooled axes; the other kinds: one
   *     number for each channel. Default: 1
   * @return this call
   */
  public final S weight(Tensor tensor) {
    weight = Arguments.required("weight", tensor);
    return self();
  }

  /**
   * The shift. Refused for L2.
   *
   * @param tensor of any type, shaped as the weight. Default: 0
   * @return this call
   */
  public final S bias(Tensor tensor) {
    bias = Arguments.required("bias", tensor);
    return self();
  }

  /**
   * BATCH, INSTANCE: the running mean and the running (unbiased) variance; for gradients as they
   * were before the forward call.
   *
   * @param mean of any type, one number for each channel
   * @param var of any type, one number for each channel
   * @return this call
   */
  public final S runningStatistics(Tensor mean, Tensor var) {
    return runningMean(mean).runningVar(var);
  }

  /**
   * BATCH, INSTANCE: the running mean, which is given together with the variance.
   *
   * @param mean of any type, one number for each channel
   * @return this call
   */
  public final S runningMean(Tensor mean) {
    runningMean = Arguments.required("running_mean", mean);
    return self();
  }

  /**
   * BATCH, INSTANCE: the running (unbiased) variance, which is given together with the mean.
   *
   * @param var of any type, one number for each channel
   * @return this call
   */
  public final S runningVar(Tensor var) {
    runningVar = Arguments.required("running_var", var);
    return self();
  }

  /**
   * The merged statistics of all parts of a tensor of which the input is one, from {@link
   * Client#measureStatistics}: they take the place of the input's own.
   *
   * @param merged the statistics; for gradients measured with the gradient of the output
   * @return this call
   */
  public final S statistics(StatisticsPartial merged) {
    statistics = Arguments.required("statistics", merged);
    return self();
  }

  /** What is sent of these options. */
  final NormalizeOptions options() {
    NormalizeRequest.Builder all = request.clone();
    if (statistics != null) {
      all.setStatistics(statistics.toWire());
    }
    return new NormalizeOptions(all.build(), weight, bias, runningMean, runningVar);
  }
}
