package dev.evenkeel.client.internal.wire;

import io.grpc.HasByteBuffer;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;

/** Reads a message from the transport's buffers, without joining them. */
final class Cursor {
  private static final int VARINT = 0;
  private static final int FIXED64 = 1;
  private static final int FIXED32 = 5;
  private static final int SCRATCH = 8 << 10;

  private final InputStream input;
  private final HasByteBuffer buffers;
  private long position;

  Cursor(InputStream input) {
    this.input = input;
    this.buffers = input instanceof HasByteBuffer has && has.byteBufferSupported() ? has : null;
  }

  long position() {
    return position;
  }

  /** The next tag; -1 at the end of the message. */
  int tag() throws IOException {
    int first = input.read();
    if (first < 0) {
      return -1;
    }
    position++;
    return (int) varint(first);
  }

  long varint() throws IOException {
    return varint(next());
  }

  private long varint(int first) throws IOException {
    long value = first & 0x7F;
    int last = first;
    for (int shift = 7; last >= 0x80; shift += 7) {
      if (shift > 63) {
        throw new IOException("a number has too many bytes");
      }
      last = next();
      value |= (last & 0x7FL) << shift;
    }
    return value;
  }

  /** A length, which is not longer than what the input still has. */
  int length() throws IOException {
    long length = varint();
    if (length < 0 || length > input.available()) {
      throw new EOFException("a field is longer than the message");
    }
    return (int) length;
  }

  private int next() throws IOException {
    int value = input.read();
    if (value < 0) {
      throw new EOFException("the message is cut off");
    }
    position++;
    return value;
  }

  byte[] bytes(int length) throws IOException {
    byte[] bytes = input.readNBytes(length);
    position += bytes.length;
    if (bytes.length < length) {
      throw new EOFException("the message is cut off");
    }
    return bytes;
  }

  /** Copies so many bytes from the transport's memory into elements. */
  void fill(Filler filler, int length) throws IOException {
    int left = length;
    while (left > 0) {
      if (buffers == null) {
        byte[] some = bytes(Math.min(left, SCRATCH));
        filler.fill(ByteBuffer.wrap(some));
        left -= some.length;
      } else {
        ByteBuffer buffer = buffers.getByteBuffer();
        if (buffer == null || !buffer.hasRemaining()) {
          throw new EOFException("the message is cut off");
        }
        int count = Math.min(buffer.remaining(), left);
        filler.fill(buffer.slice(buffer.position(), count));
        input.skipNBytes(count);
        position += count;
        left -= count;
      }
    }
  }

  /** Copies a field whose tag was read, tag included. */
  void copyField(int tag, ByteArrayOutputStream target) throws IOException {
    writeVarint(tag & 0xFFFFFFFFL, target);
    switch (tag & 7) {
      case VARINT -> writeVarint(varint(), target);
      case FIXED64 -> target.writeBytes(bytes(Long.BYTES));
      case FIXED32 -> target.writeBytes(bytes(Integer.BYTES));
      case Outgoing.LENGTH_DELIMITED -> {
        int length = length();
        writeVarint(length, target);
        target.writeBytes(bytes(length));
      }
      default -> throw new IOException("a field has the unknown wire type " + (tag & 7));
    }
  }

  private static void writeVarint(long number, ByteArrayOutputStream target) {
    long rest = number;
    while ((rest & ~0x7FL) != 0) {
      target.write((int) (rest & 0x7F | 0x80));
      rest >>>= 7;
    }
    target.write((int) rest);
  }
}
