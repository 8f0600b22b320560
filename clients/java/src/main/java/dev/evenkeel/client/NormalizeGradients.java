package dev.evenkeel.client;

import java.util.Optional;

/**
 * The gradients of a normalization.
 *
 * @param gradInput the gradient of the input: its shape, type and name
 * @param gradWeight the gradient of the weight, in its shape and type, if a weight was given
 * @param gradBias the gradient of the bias, in its shape and type, if a bias was given
 */
public record NormalizeGradients(
    Tensor gradInput, Optional<Tensor> gradWeight, Optional<Tensor> gradBias) {}
