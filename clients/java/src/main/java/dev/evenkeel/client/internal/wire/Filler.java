package dev.evenkeel.client.internal.wire;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Fills elements with little-endian bytes that arrive one after the other, cut anywhere. */
public final class Filler {
  private final String field;
  private final Elements elements;

  /** The first bytes of an element whose last ones have not arrived. */
  private final ByteBuffer partial;

  private int next;

  /** Fills these elements; {@code field} names them in errors. */
  public Filler(String field, Elements elements) {
    this.field = field;
    this.elements = elements;
    this.partial = ByteBuffer.allocate(elements.width()).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** The elements, complete or not. */
  public Elements elements() {
    return elements;
  }

  /** How many bytes have not arrived. */
  public long missing() {
    return elements.byteLength() - (long) next * elements.width() - partial.position();
  }

  /**
   * Takes the remaining bytes of a buffer.
   *
   * @throws WireException if they are more than are missing
   */
  public void fill(ByteBuffer source) {
    if (source.remaining() > missing()) {
      throw new WireException(
          field, "has " + source.remaining() + " bytes where " + missing() + " are missing");
    }
    ByteBuffer bytes = source.order(ByteOrder.LITTLE_ENDIAN);
    while (partial.position() > 0 && bytes.hasRemaining()) {
      partial.put(bytes.get());
      if (!partial.hasRemaining()) {
        elements.put(next++, 1, partial.flip());
        partial.clear();
      }
    }
    int whole = bytes.remaining() / elements.width();
    if (whole > 0) {
      elements.put(next, whole, bytes);
      next += whole;
      bytes.position(bytes.position() + whole * elements.width());
    }
    partial.put(bytes);
  }

  /**
   * Returns the elements, which must be complete.
   *
   * @throws WireException if bytes are missing
   */
  public Elements complete() {
    if (missing() > 0) {
      throw new WireException(field, "lacks the last " + missing() + " bytes");
    }
    return elements;
  }
}
