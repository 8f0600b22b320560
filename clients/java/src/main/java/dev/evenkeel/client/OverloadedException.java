package dev.evenkeel.client;

import java.time.Duration;
import java.util.Optional;

/**
 * The server is overloaded, and has refused the call at once. It was retried as often as the
 * client's settings and the deadline allow.
 */
public final class OverloadedException extends EvenkeelException {
  private static final long serialVersionUID = 1L;

  /** The delay; may be null. */
  private final Duration retryAfter;

  OverloadedException(Fault fault, Duration retryAfter) {
    super(fault);
    this.retryAfter = retryAfter;
  }

  /** {@return how long the server asks to wait before the next try, if it says so} */
  public Optional<Duration> retryAfter() {
    return Optional.ofNullable(retryAfter);
  }
}
