package dev.evenkeel.client.internal.wire;

import io.grpc.Drainable;
import io.grpc.KnownLength;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.List;

/**
 * The bytes of a message, for the transport. It drains them through a small array that stays in the
 * processor's cache: gRPC takes arrays alone, and copies them into the native memory that the
 * socket is written from.
 */
final class OutgoingStream extends InputStream implements Drainable, KnownLength {
  private static final int SCRATCH = 32 << 10;

  private final List<Outgoing.Part> parts;
  private int part;
  private long within;
  private long left;

  OutgoingStream(Outgoing message) {
    this.parts = message.parts();
    this.left = message.length();
  }

  @Override
  public int available() {
    return Math.toIntExact(left);
  }

  @Override
  public int read() {
    byte[] one = new byte[1];
    return read(one, 0, 1) < 0 ? -1 : one[0] & 0xFF;
  }

  @Override
  public int read(byte[] target, int at, int length) {
    if (length > 0 && left == 0) {
      return -1;
    }
    int count = 0;
    while (count < length && left > 0) {
      count += some(target, at + count, length - count);
    }
    return count;
  }

  @Override
  public int drainTo(OutputStream target) throws IOException {
    int drained = 0;
    byte[] scratch = new byte[(int) Math.min(SCRATCH, left)];
    while (left > 0) {
      int count = read(scratch, 0, scratch.length);
      target.write(scratch, 0, count);
      drained += count;
    }
    return drained;
  }

  /** Copies bytes of the current part. */
  private int some(byte[] target, int at, int length) {
    Outgoing.Part current = parts.get(part);
    int count = (int) Math.min(length, current.length() - within);
    if (current instanceof Outgoing.Bytes bytes) {
      System.arraycopy(bytes.bytes(), (int) within, target, at, count);
    } else if (current instanceof Outgoing.Range range) {
      range.elements().copyTo(range.offset() + within, target, at, count);
    }
    within += count;
    left -= count;
    if (within == current.length()) {
      part++;
      within = 0;
    }
    return count;
  }
}
