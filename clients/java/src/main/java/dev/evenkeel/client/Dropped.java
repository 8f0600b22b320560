package dev.evenkeel.client;

import java.util.Optional;

/**
 * The result of a dropout.
 *
 * @param output the tensor after dropout: shape, type and name of the input
 * @param kept how many of its elements were kept
 * @param mask which were kept, if it was asked for
 */
public record Dropped(Tensor output, long kept, Optional<Mask> mask) {}
