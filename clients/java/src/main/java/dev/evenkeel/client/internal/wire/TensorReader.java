package dev.evenkeel.client.internal.wire;

import dev.evenkeel.v1.DataType;
import dev.evenkeel.v1.Tensor;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Reads a tensor whose elements go from the transport's memory into an array, in one copy. */
final class TensorReader {
  private TensorReader() {}

  static TensorMessage read(Cursor cursor, int length) throws IOException {
    long end = cursor.position() + length;
    ByteArrayOutputStream rest = new ByteArrayOutputStream();
    Elements elements = null;
    byte[] early = null;
    while (cursor.position() < end) {
      int tag = cursor.tag();
      if (tag != (Outgoing.DATA << 3 | Outgoing.LENGTH_DELIMITED)) {
        cursor.copyField(tag, rest);
        continue;
      }
      int bytes = cursor.length();
      DataType dtype = Tensor.parseFrom(rest.toByteArray()).getDtype();
      if (TensorMessage.width(dtype) == 0) {
        early =
            cursor.bytes(
                bytes); // the type comes after the elements, which is allowed, though no server
        // does it
      } else {
        elements = allocate(dtype, bytes);
        cursor.fill(new Filler("data", elements), bytes);
      }
    }
    if (cursor.position() != end) {
      throw new IOException("a field is longer than its tensor");
    }
    Tensor header = Tensor.parseFrom(rest.toByteArray());
    if (header.getFloatDataCount() > 0) {
      throw new WireException("float_data", "is not what the client asked for");
    }
    if (early != null) {
      elements = allocate(header.getDtype(), early.length);
      new Filler("data", elements).fill(ByteBuffer.wrap(early).order(ByteOrder.LITTLE_ENDIAN));
    } else if (elements == null) {
      elements = allocate(header.getDtype(), 0);
    }
    return new TensorMessage(header.getName(), header.getDtype(), header.getShapeList(), elements);
  }

  private static Elements allocate(DataType dtype, int bytes) {
    int width = TensorMessage.width(dtype);
    if (width == 0) {
      throw new WireException("dtype", "is none that the client knows");
    }
    if (bytes % width != 0) {
      throw new WireException(
          "data", "has " + bytes + " bytes, which are no whole elements of " + width + " bytes");
    }
    return Elements.allocate(bytes / width, width);
  }
}
