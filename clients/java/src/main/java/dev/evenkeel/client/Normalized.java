package dev.evenkeel.client;

import java.util.List;
import java.util.Optional;

/**
 * The result of a normalization.
 *
 * @param output the normalized tensor: shape, type and name of the input
 * @param axes the axes that were pooled, in ascending order; GROUP: with the channels' axis, which
 *     is split into groups
 * @param mean the means, if they were asked for; not for RMS and L2. Float64 for float64 input,
 *     else float32. The shape is the input's without the pooled axes; GROUP: with the number of
 *     groups in place of the channels
 * @param rstd 1 / sqrt(var + eps), if it was asked for; RMS: 1 / sqrt(mean(x^2) + eps); L2: 1 /
 *     max(norm, eps). As the mean
 * @param runningMean the new running mean, if one was given and the input's own statistics were
 *     used, in its type
 * @param runningVar the new running variance, likewise
 */
public record Normalized(
    Tensor output,
    List<Integer> axes,
    Optional<Tensor> mean,
    Optional<Tensor> rstd,
    Optional<Tensor> runningMean,
    Optional<Tensor> runningVar) {}
