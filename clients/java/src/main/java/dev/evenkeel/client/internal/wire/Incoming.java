package dev.evenkeel.client.internal.wire;

import java.util.ArrayList;
import java.util.List;

/**
 * A received message.
 *
 * @param <M> its type in the contract
 * @param rest the message without the tensors and bytes that were taken from it; null where there
 *     was nothing else
 * @param tensors the tensors, in the order in which they came
 */
public record Incoming<M>(M rest, List<Field> tensors) {
  /** A tensor and the number of its field. */
  public record Field(int number, TensorMessage tensor) {}

  /** Copies the list. */
  public Incoming {
    tensors = List.copyOf(tensors);
  }

  /** The tensor in this field; null if there is none. */
  public TensorMessage tensor(int field) {
    TensorMessage last = null;
    for (Field each : tensors) {
      last = each.number == field ? each.tensor : last;
    }
    return last;
  }

  /** All tensors in this field. */
  public List<TensorMessage> tensors(int field) {
    List<TensorMessage> found = new ArrayList<>();
    for (Field each : tensors) {
      if (each.number == field) {
        found.add(each.tensor);
      }
    }
    return found;
  }
}
