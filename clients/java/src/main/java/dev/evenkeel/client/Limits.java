package dev.evenkeel.client;

/**
 * What a server takes.
 *
 * @param message the longest message, in bytes
 * @param chunk the longest piece of a tensor in a stream, in bytes; 0: there are no streams of
 *     tensors
 */
record Limits(long message, long chunk) {
  /** Those of a server that does not tell. */
  static final Limits UNKNOWN = new Limits(Long.MAX_VALUE, 0);

  /** No server has a lower limit, so shorter messages are sent without asking for it. */
  static final long LEAST_MESSAGE = 1 << 10;

  /**
   * From this size on a stream is faster than a message: the server computes, and sends, while the
   * rest is on its way, and the transport's memory stays in the processor's cache.
   */
  static final long FAST_STREAM = 2 << 20;

  /** Long enough for the transport, and short enough for the processor's cache. */
  private static final long CHUNK = 256 << 10;

  /** What a message has beside a piece of a tensor. */
  private static final long OVERHEAD = 64;

  /** The largest array of Java, and what gRPC can send. */
  private static final long MOST = Integer.MAX_VALUE - 8L;

  /** Unary for a message that cannot be a stream, or need not. */
  boolean fits(long bytes) {
    return bytes <= Math.min(message, MOST);
  }

  boolean hasStreams() {
    return chunk > 0;
  }

  /** The bytes of a tensor that a message of a request has, a multiple of the longest element. */
  long pieces(long share) {
    long most =
        Math.min(chunk == 0 ? CHUNK : Math.min(chunk, CHUNK), Math.max(message - OVERHEAD, 0))
            / share;
    return Math.max(most / Double.BYTES * Double.BYTES, Double.BYTES);
  }
}
