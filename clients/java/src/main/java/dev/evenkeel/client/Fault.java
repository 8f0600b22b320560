package dev.evenkeel.client;

import io.grpc.Status;

/**
 * What all errors have.
 *
 * @param code the code of the status
 * @param message the message
 * @param reason the reason of the server's ErrorInfo; may be null
 * @param cause the error of gRPC; may be null
 */
record Fault(Status.Code code, String message, String reason, Throwable cause) {
  /** A server, or a name in its answer, may be of any length: at most some 3 KiB as UTF-8. */
  private static final int MAX_CHARACTERS = 1 << 10;

  /** Keeps the beginning of a message that is too long. */
  Fault {
    if (message != null && message.length() > MAX_CHARACTERS) {
      message = message.substring(0, MAX_CHARACTERS - 3) + "...";
    }
  }

  /** A fault that the client itself has found. */
  static Fault local(Status.Code code, String message) {
    return new Fault(code, message, null, null);
  }
}
