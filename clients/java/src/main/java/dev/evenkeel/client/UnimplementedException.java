package dev.evenkeel.client;

/** The server is too old for this call. */
public final class UnimplementedException extends EvenkeelException {
  private static final long serialVersionUID = 1L;

  UnimplementedException(Fault fault) {
    super(fault);
  }
}
