package dev.evenkeel.client;

/**
 * The server would have to hold more elements of a stream than it has memory for. Calls on tensors
 * make the two passes by themselves; this error is left where a call cannot be made in two.
 */
public final class NeedsTwoPassesException extends EvenkeelException {
  private static final long serialVersionUID = 1L;

  NeedsTwoPassesException(Fault fault) {
    super(fault);
  }
}
