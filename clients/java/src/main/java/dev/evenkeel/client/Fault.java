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
  /** A fault that the client itself has found. */
  static Fault local(Status.Code code, String message) {
    return new Fault(code, message, null, null);
  }
}
