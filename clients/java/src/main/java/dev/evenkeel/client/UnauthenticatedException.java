package dev.evenkeel.client;

/** The server wants a token, and the client has none or another. */
public final class UnauthenticatedException extends EvenkeelException {
  private static final long serialVersionUID = 1L;

  UnauthenticatedException(Fault fault) {
    super(fault);
  }
}
