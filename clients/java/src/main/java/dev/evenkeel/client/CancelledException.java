package dev.evenkeel.client;

/** The call was cancelled, by the program or by an interrupt of its thread. */
public final class CancelledException extends EvenkeelException {
  private static final long serialVersionUID = 1L;

  CancelledException(Fault fault) {
    super(fault);
  }
}
