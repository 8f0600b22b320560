package dev.evenkeel.client;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The result of a clipping.
 *
 * @param gradients the gradients after clipping, in the order given, with their names, shapes and
 *     types
 * @param totalNorm the norm over all gradients before clipping, or the one that was given
 * @param scale the factor that was applied: min(1, threshold / (totalNorm + epsilon)). By value: 1.
 *     By each tensor's norm: the smallest of any tensor
 * @param clippedElements by value: how many elements were outside the threshold
 * @param tensorNorms by each tensor's norm: the norms before clipping, in the order given. Empty
 *     for the others
 */
public record Clipped(
    List<Tensor> gradients,
    double totalNorm,
    double scale,
    long clippedElements,
    List<Double> tensorNorms) {
  /**
   * {@return the gradients by their names, in the order given; of several with one name the last}
   */
  public Map<String, Tensor> byName() {
    Map<String, Tensor> named = new LinkedHashMap<>();
    gradients.forEach(gradient -> named.put(gradient.name(), gradient));
    return Collections.unmodifiableMap(named);
  }
}
