package dev.evenkeel.client.internal.wire;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.DoubleBuffer;
import java.nio.FloatBuffer;
import java.nio.ShortBuffer;

/**
 * The elements of a tensor in memory: a buffer over an array or over native memory, in any byte
 * order. On the wire they are little-endian bytes; the methods with byte offsets speak of those.
 */
public abstract sealed class Elements {
  private final int count;
  private final int width;

  private Elements(int count, int width) {
    this.count = count;
    this.width = width;
  }

  /**
   * Elements that lie in a buffer from its position to its limit. The buffer's contents are not
   * copied.
   */
  public static Elements of(FloatBuffer buffer) {
    return new Floats(buffer.slice());
  }

  /**
   * Elements that lie in a buffer from its position to its limit. The buffer's contents are not
   * copied.
   */
  public static Elements of(DoubleBuffer buffer) {
    return new Doubles(buffer.slice());
  }

  /**
   * The bits of elements of two bytes, from a buffer's position to its limit. The buffer's contents
   * are not copied.
   */
  public static Elements of(ShortBuffer buffer) {
    return new Shorts(buffer.slice());
  }

  /**
   * Elements of so many bytes each, in the byte order of the buffer. The buffer's contents are not
   * copied.
   */
  public static Elements of(ByteBuffer buffer, int width) {
    ByteBuffer own = buffer.slice().order(buffer.order());
    return switch (width) {
      case 2 -> of(own.asShortBuffer());
      case 4 -> of(own.asFloatBuffer());
      case 8 -> of(own.asDoubleBuffer());
      default -> throw new IllegalArgumentException("no elements have " + width + " bytes");
    };
  }

  /** New elements of so many bytes each, in an array. */
  public static Elements allocate(int count, int width) {
    return switch (width) {
      case 2 -> of(ShortBuffer.wrap(new short[count]));
      case 4 -> of(FloatBuffer.wrap(new float[count]));
      case 8 -> of(DoubleBuffer.wrap(new double[count]));
      default -> throw new IllegalArgumentException("no elements have " + width + " bytes");
    };
  }

  /** The number of elements. */
  public final int count() {
    return count;
  }

  /** The bytes of an element. */
  public final int width() {
    return width;
  }

  /** The bytes of all elements. */
  public final long byteLength() {
    return (long) count * width;
  }

  /** Writes elements to a little-endian buffer, from its position on, which does not move. */
  abstract void get(int first, int count, ByteBuffer target);

  /** Reads elements from a little-endian buffer, from its position on, which does not move. */
  abstract void put(int first, int count, ByteBuffer source);

  /** Writes a range of the little-endian bytes, which may begin and end within an element. */
  final void copyTo(long offset, byte[] target, int at, int length) {
    int element = (int) (offset / width);
    int within = (int) (offset % width);
    int to = at;
    int left = length;
    if (within != 0) {
      int part = Math.min(width - within, left);
      System.arraycopy(bytesOf(element), within, target, to, part);
      element++;
      to += part;
      left -= part;
    }
    int whole = left / width;
    if (whole > 0) {
      get(
          element,
          whole,
          ByteBuffer.wrap(target, to, whole * width).slice().order(ByteOrder.LITTLE_ENDIAN));
      element += whole;
      to += whole * width;
      left -= whole * width;
    }
    if (left > 0) {
      System.arraycopy(bytesOf(element), 0, target, to, left);
    }
  }

  private byte[] bytesOf(int element) {
    byte[] bytes = new byte[width];
    get(element, 1, ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN));
    return bytes;
  }

  /** Elements of float32. */
  public static final class Floats extends Elements {
    private final FloatBuffer buffer;

    private Floats(FloatBuffer buffer) {
      super(buffer.remaining(), Float.BYTES);
      this.buffer = buffer;
    }

    /** The elements, in a buffer with a position of its own. */
    public FloatBuffer buffer() {
      return buffer.duplicate();
    }

    @Override
    void get(int first, int count, ByteBuffer target) {
      target.asFloatBuffer().put(0, buffer, first, count);
    }

    @Override
    void put(int first, int count, ByteBuffer source) {
      buffer.put(first, source.asFloatBuffer(), 0, count);
    }
  }

  /** Elements of float64. */
  public static final class Doubles extends Elements {
    private final DoubleBuffer buffer;

    private Doubles(DoubleBuffer buffer) {
      super(buffer.remaining(), Double.BYTES);
      this.buffer = buffer;
    }

    /** The elements, in a buffer with a position of its own. */
    public DoubleBuffer buffer() {
      return buffer.duplicate();
    }

    @Override
    void get(int first, int count, ByteBuffer target) {
      target.asDoubleBuffer().put(0, buffer, first, count);
    }

    @Override
    void put(int first, int count, ByteBuffer source) {
      buffer.put(first, source.asDoubleBuffer(), 0, count);
    }
  }

  /** The bits of elements of two bytes. */
  public static final class Shorts extends Elements {
    private final ShortBuffer buffer;

    private Shorts(ShortBuffer buffer) {
      super(buffer.remaining(), Short.BYTES);
      this.buffer = buffer;
    }

    /** The bits, in a buffer with a position of its own. */
    public ShortBuffer buffer() {
      return buffer.duplicate();
    }

    @Override
    void get(int first, int count, ByteBuffer target) {
      target.asShortBuffer().put(0, buffer, first, count);
    }

    @Override
    void put(int first, int count, ByteBuffer source) {
      buffer.put(first, source.asShortBuffer(), 0, count);
    }
  }
}
