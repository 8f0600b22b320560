package dev.evenkeel.client;

/** The server has failed, or its answer breaks the contract. */
public final class InternalException extends EvenkeelException {
  private static final long serialVersionUID = 1L;

  InternalException(Fault fault) {
    super(fault);
  }
}
