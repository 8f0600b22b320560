package dev.evenkeel.client;

import dev.evenkeel.client.internal.wire.Elements;
import dev.evenkeel.client.internal.wire.Filler;
import dev.evenkeel.client.internal.wire.TensorMessage;
import dev.evenkeel.client.internal.wire.WireException;
import java.nio.ByteOrder;

/** The parts of a response that comes in a stream. */
final class Parts {
  private Parts() {}

  /** Throws where something comes before the header. */
  static void expectHeader(Object header) {
    if (header == null) {
      throw new WireException("header", "is missing: it is the first message");
    }
  }

  /** Throws where a header comes a second time. */
  static void expectFirst(Object header) {
    if (header != null) {
      throw new WireException("header", "comes a second time");
    }
  }

  /** Throws where a stream has ended without its summary, so that it is not complete. */
  static void expectSummary(Object summary) {
    if (summary == null) {
      throw new WireException("summary", "is missing at the end of the stream");
    }
  }

  /** The description of a tensor, which has no elements. */
  static TensorMessage described(dev.evenkeel.v1.Tensor tensor) {
    if (!tensor.getData().isEmpty()) {
      throw new WireException("data", "has elements, which do not belong in a header");
    }
    return new TensorMessage(tensor.getName(), tensor.getDtype(), tensor.getShapeList(), null);
  }

  /** A small tensor, which protobuf has decoded. */
  static TensorMessage tensor(String field, dev.evenkeel.v1.Tensor tensor) {
    int width = TensorMessage.width(tensor.getDtype());
    if (width == 0) {
      throw new WireException(field + ".dtype", "is none that the client knows");
    }
    if (tensor.getData().size() % width != 0) {
      throw new WireException(field + ".data", "has no whole elements");
    }
    Elements elements = Elements.allocate(tensor.getData().size() / width, width);
    new Filler(field + ".data", elements)
        .fill(tensor.getData().asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN));
    return new TensorMessage(tensor.getName(), tensor.getDtype(), tensor.getShapeList(), elements);
  }
}
