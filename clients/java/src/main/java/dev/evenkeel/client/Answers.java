package dev.evenkeel.client;

import dev.evenkeel.client.internal.wire.TensorMessage;
import dev.evenkeel.client.internal.wire.WireException;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Supplier;
import java.util.stream.LongStream;

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
    if (!given.name().equals(sent.name())) {
      throw new WireException(field + ".name", "is another one than was sent");
    }
  }

  /** Throws unless a number is the one that is due; all NaN are one. */
  static <N extends Number> void due(String field, N given, N due) {
    if (!given.equals(due)) {
      throw new WireException(field, "is " + given + " where " + due + " is due");
    }
  }

  private static void differs(String field, Object given, Object sent) {
    if (!given.equals(sent)) {
      throw new WireException(field, "is " + given + " where " + sent + " was sent");
    }
  }

  /** Keeps the one message of a response. */
  static <M> void only(AtomicReference<M> kept, M message) {
    if (!kept.compareAndSet(null, message)) {
      throw new WireException("the response", "has more than one message");
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

  /** The mean or the rstd of an input, which is there if, and only if, it is due. */
  static Optional<Tensor> statistic(
      String field, TensorMessage given, boolean due, Tensor input, long[] sets) {
    if (!due || given == null) {
      if (due || given != null) {
        throw new WireException(field, due ? "is missing" : "was not asked for");
      }
      return Optional.empty();
    }
    DType dtype = input.dtype() == DType.FLOAT64 ? DType.FLOAT64 : DType.FLOAT32;
    differs(field + ".dtype", given.dtype(), dtype.wire());
    differs(field + ".shape", given.shape(), LongStream.of(sets).boxed().toList());
    return Optional.of(Tensor.of(field, given));
  }

  /** A tensor that may be there where another was sent, which it resembles. */
  static Optional<Tensor> running(Tensor sent, String field, TensorMessage given) {
    if (given != null && sent == null) {
      throw new WireException(field, "answers nothing that was sent");
    }
    return Optional.ofNullable(given).map(tensor -> like(sent, field, tensor));
  }

  /** Throws unless the pooled axes are those of a request. */
  static List<Integer> axes(List<Integer> given, List<Integer> due) {
    if (!given.equals(due)) {
      throw new WireException("axes", "are others than " + due);
    }
    return due;
  }

  /** A tensor that is there if, and only if, another was sent, which it resembles. */
  static Optional<Tensor> ifSent(Tensor sent, String field, TensorMessage given) {
    if (sent == null) {
      return running(null, field, given);
    }
    return Optional.of(like(sent, field, given));
  }
}
