package dev.evenkeel.client;

import io.grpc.Status;
import java.util.Optional;

/**
 * The base of all errors of calls. Errors that a program may want to tell apart have classes of
 * their own.
 */
public class EvenkeelException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** The code of the status. */
  private final Status.Code code;

  /** The reason of the ErrorInfo; may be null. */
  private final String reason;

  EvenkeelException(Fault fault) {
    super(fault.message(), fault.cause());
    this.code = fault.code();
    this.reason = fault.reason();
  }

  /** {@return gRPC's code of the status} */
  public final Status.Code code() {
    return code;
  }

  /** {@return the server's reason, such as {@code OVERLOADED}, if it gave one} */
  public final Optional<String> reason() {
    return Optional.ofNullable(reason);
  }
}
