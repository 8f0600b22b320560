package dev.evenkeel.client;

/**
 * A message, or the metadata, is larger than the server takes, and there is no stream for such a
 * call. It is not retried.
 */
public final class MessageTooLargeException extends EvenkeelException {
  private static final long serialVersionUID = 1L;

  MessageTooLargeException(Fault fault) {
    super(fault);
  }
}
