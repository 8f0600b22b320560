package dev.evenkeel.client;

import dev.evenkeel.client.internal.wire.TensorMessage;
import dev.evenkeel.v1.DataType;

/** The type of a tensor's elements. */
public enum DType {
  /** IEEE 754 binary32, Java's {@code float}. */
  FLOAT32(DataType.DATA_TYPE_FLOAT32),
  /** IEEE 754 binary64, Java's {@code double}. */
  FLOAT64(DataType.DATA_TYPE_FLOAT64),
  /** IEEE 754 binary16, two bytes. */
  FLOAT16(DataType.DATA_TYPE_FLOAT16),
  /** The upper half of a binary32, two bytes. */
  BFLOAT16(DataType.DATA_TYPE_BFLOAT16);

  private final DataType wire;

  DType(DataType wire) {
    this.wire = wire;
  }

  /**
   * The constant of this name, as in files of settings.
   *
   * @param name the name in lower case, such as {@code bfloat16}
   * @return the constant
   * @throws InvalidArgumentException if there is none
   */
  public static DType named(String name) {
    return Arguments.named("dtype", DType.class, name);
  }

  /** {@return the bytes of an element: 8, 4 or 2} */
  public int bytes() {
    return TensorMessage.width(wire);
  }

  DataType wire() {
    return wire;
  }

  /** The type in a response. */
  static DType of(DataType wire) {
    for (DType dtype : values()) {
      if (dtype.wire == wire) {
        return dtype;
      }
    }
    throw new IllegalArgumentException("no element type: " + wire);
  }
}
