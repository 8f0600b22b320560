package dev.evenkeel.client;

/**
 * There is no connection, or it broke: the server is down, does not exist, or is about to stop. It
 * was retried.
 */
public final class UnavailableException extends EvenkeelException {
  private static final long serialVersionUID = 1L;

  UnavailableException(Fault fault) {
    super(fault);
  }
}
