package dev.evenkeel.client.internal.wire;

import com.google.protobuf.Parser;
import io.grpc.MethodDescriptor.Marshaller;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.IntFunction;

/** The marshallers of requests and responses, which replace protobuf's for what is large. */
public final class Marshallers {
  private Marshallers() {}

  /** For requests. */
  public static Marshaller<Outgoing> outgoing() {
    return new Marshaller<>() {
      @Override
      public InputStream stream(Outgoing message) {
        return new OutgoingStream(message);
      }

      @Override
      public Outgoing parse(InputStream stream) {
        throw new UnsupportedOperationException("a client parses no requests");
      }
    };
  }

  /** For responses whose tensors are in these fields. */
  public static <M> Marshaller<Incoming<M>> incoming(Parser<M> parser, Set<Integer> tensorFields) {
    return new Parsing<>(parser, tensorFields, field -> null);
  }

  /**
   * For the responses of a stream: the bytes in some fields go where {@code fillers} says, by the
   * number of the field; null: the field is no such field.
   */
  public static <M> Marshaller<Incoming<M>> stream(Parser<M> parser, IntFunction<Filler> fillers) {
    return new Parsing<>(parser, Set.of(), fillers);
  }

  private record Parsing<M>(
      Parser<M> parser, Set<Integer> tensorFields, IntFunction<Filler> fillers)
      implements Marshaller<Incoming<M>> {
    @Override
    public InputStream stream(Incoming<M> message) {
      throw new UnsupportedOperationException("a client sends no responses");
    }

    @Override
    public Incoming<M> parse(InputStream input) {
      try {
        return read(new Cursor(input));
      } catch (IOException error) {
        throw new WireException(error);
      }
    }

    private Incoming<M> read(Cursor cursor) throws IOException {
      ByteArrayOutputStream rest = new ByteArrayOutputStream();
      List<Incoming.Field> tensors = new ArrayList<>();
      boolean filled = false;
      for (int tag = cursor.tag(); tag != -1; tag = cursor.tag()) {
        int field = tag >>> 3;
        boolean delimited = (tag & 7) == Outgoing.LENGTH_DELIMITED;
        Filler filler = delimited ? fillers.apply(field) : null;
        if (delimited && tensorFields.contains(field)) {
          tensors.add(new Incoming.Field(field, TensorReader.read(cursor, cursor.length())));
        } else if (filler != null) {
          cursor.fill(filler, cursor.length());
          filled = true;
        } else {
          cursor.copyField(tag, rest);
        }
      }
      M message = filled && rest.size() == 0 ? null : parser.parseFrom(rest.toByteArray());
      return new Incoming<>(message, tensors);
    }
  }
}
