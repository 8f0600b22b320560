package dev.evenkeel.client.internal.wire;

/** A response that breaks the contract. */
public final class WireException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** The field of the response, and how it breaks the contract. */
  public WireException(String field, String reason) {
    super("the server's answer breaks the contract: " + field + " " + reason);
  }

  /** The bytes are no message. */
  WireException(Throwable cause) {
    super("the server's answer is no message: " + cause.getMessage(), cause);
  }
}
