package dev.evenkeel.client;

import dev.evenkeel.client.internal.wire.Elements;
import dev.evenkeel.client.internal.wire.TensorMessage;
import dev.evenkeel.client.internal.wire.WireException;
import java.nio.ByteBuffer;
import java.nio.DoubleBuffer;
import java.nio.FloatBuffer;
import java.nio.ShortBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.LongStream;

/**
 * A dense tensor, row-major. It is a view of an array or a buffer, which is not copied: do not
 * change the elements while a call that uses them is under way. The elements of a result are in an
 * array of their own.
 */
public final class Tensor {
  private final String name;
  private final DType dtype;
  private final long[] shape;
  private final Elements elements;

  private Tensor(String name, DType dtype, long[] shape, Elements elements) {
    this.name = name;
    this.dtype = dtype;
    this.shape = shape;
    this.elements = elements;
  }

  private static Tensor over(DType dtype, long[] shape, Elements elements) {
    long[] own = shape.length == 0 ? new long[] {elements.count()} : shape.clone();
    return checked("", dtype, own, elements);
  }

  private static Tensor checked(String name, DType dtype, long[] shape, Elements elements) {
    Shapes.check(shape, elements.count());
    return new Tensor(name, dtype, shape, elements);
  }

  /**
   * A float32 tensor over an array.
   *
   * @param data the elements, row-major; not copied
   * @param shape the dimensions, outermost first; none: one dimension, of all elements
   * @return the tensor
   * @throws InvalidArgumentException if the shape does not fit
   */
  public static Tensor of(float[] data, long... shape) {
    return over(DType.FLOAT32, shape, Elements.of(FloatBuffer.wrap(data)));
  }

  /**
   * A float64 tensor over an array.
   *
   * @param data the elements, row-major; not copied
   * @param shape the dimensions, outermost first; none: one dimension, of all elements
   * @return the tensor
   * @throws InvalidArgumentException if the shape does not fit
   */
  public static Tensor of(double[] data, long... shape) {
    return over(DType.FLOAT64, shape, Elements.of(DoubleBuffer.wrap(data)));
  }

  /**
   * A float32 tensor over a buffer, direct or not, of any byte order, from its position to its
   * limit.
   *
   * @param data the elements, row-major; not copied
   * @param shape the dimensions, outermost first; none: one dimension, of all elements
   * @return the tensor
   * @throws InvalidArgumentException if the shape does not fit
   */
  public static Tensor of(FloatBuffer data, long... shape) {
    return over(DType.FLOAT32, shape, Elements.of(data));
  }

  /**
   * A float64 tensor over a buffer, direct or not, of any byte order, from its position to its
   * limit.
   *
   * @param data the elements, row-major; not copied
   * @param shape the dimensions, outermost first; none: one dimension, of all elements
   * @return the tensor
   * @throws InvalidArgumentException if the shape does not fit
   */
  public static Tensor of(DoubleBuffer data, long... shape) {
    return over(DType.FLOAT64, shape, Elements.of(data));
  }

  /**
   * A float16 or bfloat16 tensor over the bits of its elements. {@link #to} makes them of numbers.
   *
   * @param dtype {@link DType#FLOAT16} or {@link DType#BFLOAT16}
   * @param bits the bits of the elements, row-major; not copied
   * @param shape the dimensions, outermost first; none: one dimension, of all elements
   * @return the tensor
   * @throws InvalidArgumentException if the shape or the type does not fit
   */
  public static Tensor of(DType dtype, short[] bits, long... shape) {
    if (dtype.bytes() != Short.BYTES) {
      throw InvalidArgumentException.of(
          "dtype", "expected FLOAT16 or BFLOAT16 for bits, got " + dtype);
    }
    return over(dtype, shape, Elements.of(ShortBuffer.wrap(bits)));
  }

  /**
   * A tensor over bytes, direct or not, from the buffer's position to its limit, in the buffer's
   * byte order. A new ByteBuffer is big-endian: files of tensors are mostly little-endian, so set
   * {@code order(ByteOrder.LITTLE_ENDIAN)} first.
   *
   * @param dtype the type of the elements
   * @param data the elements, row-major; not copied
   * @param shape the dimensions, outermost first; none: one dimension, of all elements
   * @return the tensor
   * @throws InvalidArgumentException if the shape does not fit
   */
  public static Tensor of(DType dtype, ByteBuffer data, long... shape) {
    if (data.remaining() % dtype.bytes() != 0) {
      String reason = data.remaining() + " bytes are no whole elements of " + dtype;
      throw InvalidArgumentException.of("data", reason);
    }
    return over(dtype, shape, Elements.of(data, dtype.bytes()));
  }

  /** The tensor of a response. */
  static Tensor of(String field, TensorMessage message) {
    long[] shape = message.shape().stream().mapToLong(Long::longValue).toArray();
    if (Shapes.size(shape) != message.elements().count()) {
      String reason =
          "has " + message.elements().count() + " elements for the shape " + Arrays.toString(shape);
      throw new WireException(field + ".data", reason);
    }
    return new Tensor(message.name(), DType.of(message.dtype()), shape, message.elements());
  }

  /** A tensor with the label, type and shape of this one, and other elements. */
  Tensor with(Elements others) {
    return new Tensor(name, dtype, shape, others);
  }

  TensorMessage message() {
    return new TensorMessage(name, dtype.wire(), dimensions(), elements);
  }

  Elements elements() {
    return elements;
  }

  /**
   * The same elements in another shape.
   *
   * @param dimensions the dimensions, outermost first; none: a scalar, of one element
   * @return the tensor
   * @throws InvalidArgumentException if the shape does not fit
   */
  public Tensor reshape(long... dimensions) {
    return checked(name, dtype, dimensions.clone(), elements);
  }

  /**
   * The same tensor with a label, which results have as well.
   *
   * @param label the label, such as a parameter's name; empty: none
   * @return the tensor
   */
  public Tensor named(String label) {
    return new Tensor(label, dtype, shape, elements);
  }

  /**
   * The same numbers in another type, each rounded once, to nearest, ties to even. NaN stays a
   * quiet NaN.
   *
   * @param type the type
   * @return the tensor; this one if it has the type
   */
  public Tensor to(DType type) {
    if (type == dtype) {
      return this;
    }
    Elements converted = Conversions.to(dtype, elements, type);
    return new Tensor(name, type, shape, converted);
  }

  /** {@return the label; empty if there is none} */
  public String name() {
    return name;
  }

  /** {@return the type of the elements} */
  public DType dtype() {
    return dtype;
  }

  /** {@return the dimensions, outermost first; empty for a scalar} */
  public long[] shape() {
    return shape.clone();
  }

  /** {@return the number of elements} */
  public int size() {
    return elements.count();
  }

  /**
   * An element as a float64, in which all types are exact.
   *
   * @param index the index in row-major order
   * @return the element
   */
  public double get(int index) {
    return Conversions.get(dtype, elements, index);
  }

  /**
   * {@return the elements as an array} The array is the tensor's own, and not a copy, if the tensor
   * is of float32 and lies in a whole array, as every result does. Other types are converted;
   * float64 is rounded.
   */
  public float[] floats() {
    return Conversions.floats(dtype, elements);
  }

  /**
   * {@return the elements as an array} The array is the tensor's own, and not a copy, if the tensor
   * is of float64 and lies in a whole array, as every result does. Other types are converted, which
   * is exact.
   */
  public double[] doubles() {
    return Conversions.doubles(dtype, elements);
  }

  /**
   * {@return a view of the elements of a float32 tensor}
   *
   * @throws IllegalStateException for other types
   */
  public FloatBuffer floatBuffer() {
    return view(Elements.Floats.class, "floatBuffer").buffer();
  }

  /**
   * {@return a view of the elements of a float64 tensor}
   *
   * @throws IllegalStateException for other types
   */
  public DoubleBuffer doubleBuffer() {
    return view(Elements.Doubles.class, "doubleBuffer").buffer();
  }

  /**
   * {@return a view of the bits of the elements of a float16 or bfloat16 tensor}
   *
   * @throws IllegalStateException for other types
   */
  public ShortBuffer bitsBuffer() {
    return view(Elements.Shorts.class, "bitsBuffer").buffer();
  }

  private <E extends Elements> E view(Class<E> type, String method) {
    if (!type.isInstance(elements)) {
      throw new IllegalStateException("a tensor of " + dtype + " has no " + method + "()");
    }
    return type.cast(elements);
  }

  /**
   * {@return a copy of the elements as little-endian bytes}
   *
   * @throws ArithmeticException if they are more than an array can have
   */
  public ByteBuffer bytes() {
    return Conversions.bytes(elements);
  }

  /** The dimensions as a list, for messages and comparisons. */
  List<Long> dimensions() {
    return LongStream.of(shape).boxed().toList();
  }

  /** {@return name, type, shape and the first elements} */
  @Override
  public String toString() {
    String first =
        LongStream.range(0, Math.min(size(), 8))
            .mapToObj(
                i ->
                    dtype == DType.FLOAT64
                        ? Double.toString(get((int) i))
                        : Float.toString((float) get((int) i)))
            .collect(Collectors.joining(", ", "[", size() > 8 ? ", ...]" : "]"));
    return (name.isEmpty() ? "" : name + ": ") + dtype + Arrays.toString(shape) + first;
  }
}
