package dev.evenkeel.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import dev.evenkeel.client.internal.wire.WireException;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletionException;

/** Turns the errors of gRPC into those of the client. */
final class Errors {
  private static final String DOMAIN = "evenkeel";

  /** The most seconds of a delay; google.protobuf.Duration has no longer ones. */
  private static final long LONGEST_DELAY = 315_576_000_000L;

  private Errors() {}

  /** The error of a call that ended so. */
  static EvenkeelException of(Throwable thrown) {
    Throwable error = thrown;
    while (error instanceof CompletionException && error.getCause() != null) {
      error = error.getCause();
    }
    if (error instanceof EvenkeelException own) {
      return own;
    }
    if (error instanceof StatusRuntimeException status) {
      return ofStatus(status);
    }
    return new InternalException(
        new Fault(Status.Code.INTERNAL, String.valueOf(error.getMessage()), null, error));
  }

  private static EvenkeelException ofStatus(StatusRuntimeException error) {
    Status status = error.getStatus();
    if (status.getCause() instanceof WireException broken) {
      return new InternalException(
          new Fault(Status.Code.INTERNAL, broken.getMessage(), null, error));
    }
    com.google.rpc.Status details = details(error);
    ErrorInfo info = detail(details, ErrorInfo.class);
    String reason = info == null ? null : info.getReason();
    Fault fault = new Fault(status.getCode(), message(status), reason, error);
    return switch (status.getCode()) {
      case INVALID_ARGUMENT ->
          new InvalidArgumentException(fault, fields(detail(details, BadRequest.class)));
      case FAILED_PRECONDITION ->
          "NONFINITE_NORM".equals(reason)
              ? new NonfiniteNormException(fault, info.getMetadataMap())
              : new EvenkeelException(fault);
      case RESOURCE_EXHAUSTED -> exhausted(fault, detail(details, RetryInfo.class));
      case DEADLINE_EXCEEDED -> new DeadlineExceededException(fault);
      case CANCELLED -> new CancelledException(fault);
      case UNAUTHENTICATED -> new UnauthenticatedException(fault);
      case UNAVAILABLE -> new UnavailableException(fault);
      case UNIMPLEMENTED -> new UnimplementedException(fault);
      case INTERNAL -> new InternalException(fault);
      default -> new EvenkeelException(fault);
    };
  }

  /** The details in the trailer; null where there are none, or none that can be read. */
  private static com.google.rpc.Status details(StatusRuntimeException error) {
    try {
      return StatusProto.fromThrowable(error);
    } catch (RuntimeException unreadable) {
      return null; // the status itself says what matters
    }
  }

  private static EvenkeelException exhausted(Fault fault, RetryInfo retry) {
    String reason = fault.reason() == null ? "" : fault.reason();
    return switch (reason) {
      case "MESSAGE_TOO_LARGE", "METADATA_TOO_LARGE" -> new MessageTooLargeException(fault);
      case "NEEDS_TWO_PASSES" -> new NeedsTwoPassesException(fault);
      case "OVERLOADED" -> new OverloadedException(fault, delay(retry));
      default ->
          retry == null
              ? new EvenkeelException(fault)
              : new OverloadedException(fault, delay(retry));
    };
  }

  /** The delay that the server asks for; null: none, or one that is not above 0. */
  private static Duration delay(RetryInfo retry) {
    if (retry == null || !retry.hasRetryDelay()) {
      return null;
    }
    long seconds =
        Math.max(Math.min(retry.getRetryDelay().getSeconds(), LONGEST_DELAY), -LONGEST_DELAY);
    Duration delay = Duration.ofSeconds(seconds, retry.getRetryDelay().getNanos());
    return delay.compareTo(Duration.ZERO) > 0 ? delay : null;
  }

  /** The status's description and, where the connection broke, why. */
  private static String message(Status status) {
    String description =
        status.getDescription() == null ? status.getCode().name() : status.getDescription();
    Throwable cause = status.getCause();
    while (cause != null && cause.getCause() != null) {
      cause = cause.getCause();
    }
    boolean adds =
        cause != null && cause.getMessage() != null && !description.contains(cause.getMessage());
    return adds ? description + ": " + cause.getMessage() : description;
  }

  /**
   * The violations; the path of a stream's header is that of the call, which is one for the
   * program.
   */
  private static List<FieldViolation> fields(BadRequest request) {
    List<FieldViolation> fields = new ArrayList<>();
    if (request != null) {
      for (BadRequest.FieldViolation violation : request.getFieldViolationsList()) {
        String path = violation.getField().replaceFirst("^(backward_)?header\\.", "");
        fields.add(new FieldViolation(path, violation.getDescription()));
      }
    }
    return fields;
  }

  private static <M extends Message> M detail(com.google.rpc.Status status, Class<M> type) {
    if (status == null) {
      return null;
    }
    try {
      for (Any detail : status.getDetailsList()) {
        if (detail.is(type)) {
          M message = detail.unpack(type);
          if (!(message instanceof ErrorInfo info) || info.getDomain().equals(DOMAIN)) {
            return message;
          }
        }
      }
    } catch (InvalidProtocolBufferException unreadable) {
      return null; // the status itself says what matters
    }
    return null;
  }
}
