package dev.evenkeel.client.internal.wire;

import com.google.protobuf.CodedOutputStream;
import com.google.protobuf.MessageLite;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A message to send: small parts that are encoded, and ranges of elements that are copied only when
 * the transport takes them. Parts are added in the order of the field numbers.
 */
public final class Outgoing {
  /** The number of the field `data` of a tensor, and of the messages of a stream. */
  public static final int DATA = 15;

  private final List<Part> parts = new ArrayList<>();
  private long length;

  /** A part of a message: bytes, or a range of the bytes of elements. */
  sealed interface Part {
    long length();
  }

  record Bytes(byte[] bytes) implements Part {
    @Override
    public long length() {
      return bytes.length;
    }
  }

  record Range(Elements elements, long offset, long length) implements Part {}

  /** A message with the fields of another, to which more are added. */
  public static Outgoing of(MessageLite message) {
    return new Outgoing().bytes(message.toByteArray());
  }

  /** A message with one field: the next bytes of a tensor. */
  public static Outgoing data(Elements elements, long offset, long length) {
    return new Outgoing().data(DATA, elements, offset, length);
  }

  /** The length of the message, in bytes. */
  public long length() {
    return length;
  }

  List<Part> parts() {
    return parts;
  }

  /** Adds a field with a tensor, if there is one. */
  public Outgoing tensor(int field, TensorMessage tensor) {
    if (tensor == null) {
      return this;
    }
    Outgoing message = of(tensor.header());
    if (tensor.elements() != null) {
      message.data(DATA, tensor.elements(), 0, tensor.elements().byteLength());
    }
    return message(field, message);
  }

  /** Adds a field with another message. */
  public Outgoing message(int field, Outgoing message) {
    prefix(field, message.length);
    parts.addAll(message.parts);
    length += message.length;
    return this;
  }

  /** Adds a field with a range of the bytes of elements. */
  public Outgoing data(int field, Elements elements, long offset, long bytes) {
    if (bytes > 0) {
      prefix(field, bytes);
      parts.add(new Range(elements, offset, bytes));
      length += bytes;
    }
    return this;
  }

  private void prefix(int field, long bytes) {
    byte[] prefix = new byte[2 * CodedOutputStream.computeUInt64SizeNoTag(-1)];
    CodedOutputStream output = CodedOutputStream.newInstance(prefix);
    try {
      output.writeUInt32NoTag(field << 3 | LENGTH_DELIMITED);
      output.writeUInt64NoTag(bytes);
      output.flush();
    } catch (IOException impossible) {
      throw new UncheckedIOException(impossible);
    }
    bytes(Arrays.copyOf(prefix, output.getTotalBytesWritten()));
  }

  private Outgoing bytes(byte[] bytes) {
    if (bytes.length > 0) {
      parts.add(new Bytes(bytes));
      length += bytes.length;
    }
    return this;
  }

  /** The wire type of bytes and messages. */
  static final int LENGTH_DELIMITED = 2;
}
