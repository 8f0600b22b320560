package dev.evenkeel.client;

/** The deadline of the call has passed. The server has stopped the work. */
public final class DeadlineExceededException extends EvenkeelException {
  private static final long serialVersionUID = 1L;

  DeadlineExceededException(Fault fault) {
    super(fault);
  }
}
