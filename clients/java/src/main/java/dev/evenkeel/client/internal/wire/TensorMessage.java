package dev.evenkeel.client.internal.wire;

import dev.evenkeel.v1.DataType;
import dev.evenkeel.v1.Tensor;
import java.util.List;

/**
 * A tensor as it is sent or received.
 *
 * @param name the label; empty: none
 * @param dtype the element type
 * @param shape the dimensions
 * @param elements the elements; null where a header describes a tensor without them
 */
public record TensorMessage(String name, DataType dtype, List<Long> shape, Elements elements) {
  /** Copies the shape. */
  public TensorMessage {
    shape = List.copyOf(shape);
  }

  /** The bytes of an element of this type; 0 for a type that the client does not know. */
  public static int width(DataType dtype) {
    return switch (dtype) {
      case DATA_TYPE_FLOAT16, DATA_TYPE_BFLOAT16 -> 2;
      case DATA_TYPE_FLOAT32 -> 4;
      case DATA_TYPE_FLOAT64 -> 8;
      case DATA_TYPE_UNSPECIFIED, UNRECOGNIZED -> 0;
    };
  }

  /** The same without elements. */
  public TensorMessage described() {
    return new TensorMessage(name, dtype, shape, null);
  }

  /** The message without elements. */
  Tensor header() {
    return Tensor.newBuilder().setName(name).setDtype(dtype).addAllShape(shape).build();
  }
}
