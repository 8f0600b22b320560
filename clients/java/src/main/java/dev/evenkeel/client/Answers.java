package dev.evenkeel.client;

import dev.evenkeel.client.internal.wire.TensorMessage;
import dev.evenkeel.client.internal.wire.WireException;
import java.util.Optional;
import java.util.function.Supplier;

/** The tensors of responses, which must be what was asked for. */
final class Answers {
  private Answers() {}

  /** A tensor with the type, shape and name of one that was sent. */
  static Tensor like(Tensor sent, String field, TensorMessage given) {
    expect(sent, field, given);
    return Tensor.of(field, given);
  }

  /** Throws if a tensor is not described as the one that was sent. */
  static void expect(Tensor sent, String field, TensorMessage given) {
    if (given == null) {
      throw new WireException(field, "is missing");
    }
    differs(field + ".dtype", given.dtype(), sent.dtype().wire());
    differs(field + ".shape", given.shape(), sent.dimensions());
    differs(field + ".name", given.name(), sent.name());
  }

  private static void differs(String field, Object given, Object sent) {
    if (!given.equals(sent)) {
      throw new WireException(field, "is " + given + " where " + sent + " was sent");
    }
  }

  /** A partial, which must be one that some elements have. */
  static <P> P partial(Supplier<P> read) {
    try {
      return read.get();
    } catch (InvalidArgumentException invalid) {
      throw new WireException("partial", "is refused: " + invalid.getMessage());
    }
  }

  /** A tensor that may be missing. */
  static Optional<Tensor> optional(String field, TensorMessage given) {
    return Optional.ofNullable(given).map(message -> Tensor.of(field, message));
  }

  /** A tensor that is there if, and only if, another was sent, which it resembles. */
  static Optional<Tensor> ifSent(Tensor sent, String field, TensorMessage given) {
    return sent == null ? optional(field, given) : Optional.of(like(sent, field, given));
  }
}
