package dev.evenkeel.client;

import dev.evenkeel.client.internal.wire.Elements;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.DoubleBuffer;
import java.nio.FloatBuffer;
import java.nio.ShortBuffer;

/** The elements of tensors as numbers of other types. */
final class Conversions {
  private Conversions() {}

  /** An element as a float64, in which all types are exact. */
  static double get(DType dtype, Elements elements, int index) {
    if (elements instanceof Elements.Floats floats) {
      return floats.buffer().get(index);
    } else if (elements instanceof Elements.Doubles doubles) {
      return doubles.buffer().get(index);
    }
    short bits = ((Elements.Shorts) elements).buffer().get(index);
    return dtype == DType.FLOAT16 ? SmallFloats.fromFloat16(bits) : SmallFloats.fromBfloat16(bits);
  }

  /** Elements of another type, each rounded once. */
  static Elements to(DType from, Elements elements, DType to) {
    return switch (to) {
      case FLOAT32 -> Elements.of(FloatBuffer.wrap(floats(from, elements)));
      case FLOAT64 -> Elements.of(DoubleBuffer.wrap(doubles(from, elements)));
      case FLOAT16, BFLOAT16 -> {
        short[] bits = new short[elements.count()];
        for (int i = 0; i < bits.length; i++) {
          double x = get(from, elements, i);
          bits[i] = to == DType.FLOAT16 ? SmallFloats.toFloat16(x) : SmallFloats.toBfloat16(x);
        }
        yield Elements.of(ShortBuffer.wrap(bits));
      }
    };
  }

  /** The elements as float32: their own array if they have one that is whole. */
  static float[] floats(DType dtype, Elements elements) {
    if (elements instanceof Elements.Floats floats) {
      FloatBuffer buffer = floats.buffer();
      if (buffer.hasArray() && buffer.array().length == buffer.remaining()) {
        return buffer.array();
      }
      float[] copy = new float[buffer.remaining()];
      buffer.get(copy);
      return copy;
    }
    float[] converted = new float[elements.count()];
    for (int i = 0; i < converted.length; i++) {
      converted[i] = (float) get(dtype, elements, i);
    }
    return converted;
  }

  /** The elements as float64: their own array if they have one that is whole. */
  static double[] doubles(DType dtype, Elements elements) {
    if (elements instanceof Elements.Doubles doubles) {
      DoubleBuffer buffer = doubles.buffer();
      if (buffer.hasArray() && buffer.array().length == buffer.remaining()) {
        return buffer.array();
      }
      double[] copy = new double[buffer.remaining()];
      buffer.get(copy);
      return copy;
    }
    double[] converted = new double[elements.count()];
    for (int i = 0; i < converted.length; i++) {
      converted[i] = get(dtype, elements, i);
    }
    return converted;
  }

  /** A copy of the elements as little-endian bytes. */
  static ByteBuffer bytes(Elements elements) {
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.toIntExact(elements.byteLength())).order(ByteOrder.LITTLE_ENDIAN);
    if (elements instanceof Elements.Floats floats) {
      bytes.asFloatBuffer().put(floats.buffer());
    } else if (elements instanceof Elements.Doubles doubles) {
      bytes.asDoubleBuffer().put(doubles.buffer());
    } else if (elements instanceof Elements.Shorts shorts) {
      bytes.asShortBuffer().put(shorts.buffer());
    }
    return bytes;
  }
}
