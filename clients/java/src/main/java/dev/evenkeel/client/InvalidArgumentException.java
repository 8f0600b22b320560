package dev.evenkeel.client;

import io.grpc.Status;
import java.util.List;

/**
 * Arguments are wrong, or contradict each other. The client refuses what it can see itself before
 * it sends anything.
 */
public final class InvalidArgumentException extends EvenkeelException {
  private static final long serialVersionUID = 1L;

  /** The fields; records of strings. */
  private final transient List<FieldViolation> fields;

  InvalidArgumentException(Fault fault, List<FieldViolation> fields) {
    super(fault);
    this.fields = List.copyOf(fields);
  }

  /** A fault that the client itself has found. */
  static InvalidArgumentException of(String path, String description) {
    return new InvalidArgumentException(
        Fault.local(Status.Code.INVALID_ARGUMENT, path + ": " + description),
        List.of(new FieldViolation(path, description)));
  }

  /** {@return the fields that are wrong, in the order in which the server names them} */
  public List<FieldViolation> fields() {
    return fields == null ? List.of() : fields;
  }
}
