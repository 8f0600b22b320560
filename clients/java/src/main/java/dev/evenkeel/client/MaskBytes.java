package dev.evenkeel.client;

import com.google.protobuf.ByteString;
import dev.evenkeel.client.internal.wire.WireException;

/** The bytes of a mask, which arrive in pieces. */
final class MaskBytes {
  private final byte[] bytes;
  private int length;

  MaskBytes(int length) {
    this.bytes = new byte[length];
  }

  void add(ByteString piece) {
    if (piece.size() > bytes.length - length) {
      throw new WireException("mask", "has more than the expected " + bytes.length + " bytes");
    }
    piece.copyTo(bytes, length);
    length += piece.size();
  }

  byte[] complete() {
    if (length < bytes.length) {
      throw new WireException("mask", "lacks the last " + (bytes.length - length) + " bytes");
    }
    return bytes;
  }
}
