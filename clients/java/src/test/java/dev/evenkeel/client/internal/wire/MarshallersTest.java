package dev.evenkeel.client.internal.wire;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.evenkeel.v1.DataType;
import dev.evenkeel.v1.DropoutStreamResponse;
import dev.evenkeel.v1.NormalizeResponse;
import dev.evenkeel.v1.Tensor;
import io.grpc.HasByteBuffer;
import io.grpc.KnownLength;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class MarshallersTest {
  private static final float[] DATA = new float[1000];

  static {
    IntStream.range(0, DATA.length).forEach(i -> DATA[i] = i * 0.37f);
  }

  private static TensorMessage tensor(String name) {
    Elements elements = Elements.of(FloatBuffer.wrap(DATA));
    return new TensorMessage(name, DataType.DATA_TYPE_FLOAT32, List.of(10L, 100L), elements);
  }

  private static byte[] sent(Outgoing message) throws IOException {
    InputStream stream = Marshallers.outgoing().stream(message);
    assertEquals(message.length(), ((KnownLength) stream).available());
    ByteArrayOutputStream output = new ByteArrayOutputStream();
    assertEquals(message.length(), ((OutgoingStream) stream).drainTo(output));
    assertArrayEquals(output.toByteArray(), Marshallers.outgoing().stream(message).readAllBytes());
    return output.toByteArray();
  }

  /** A message in buffers of a few bytes, as a transport has it that receives small frames. */
  private static final class Frames extends ByteArrayInputStream
      implements HasByteBuffer, KnownLength {
    private final int frame;

    Frames(byte[] bytes, int frame) {
      super(bytes);
      this.frame = frame;
    }

    @Override
    public boolean byteBufferSupported() {
      return true;
    }

    @Override
    public ByteBuffer getByteBuffer() {
      return available() == 0
          ? null
          : ByteBuffer.wrap(buf, pos, Math.min(frame - pos % frame, available()))
              .asReadOnlyBuffer();
    }
  }

  @Test
  void protobufReadsWhatIsSent() throws IOException {
    NormalizeResponse small = NormalizeResponse.newBuilder().addAxes(1).build();
    Outgoing message = Outgoing.of(small).tensor(10, null).tensor(14, tensor("x"));
    NormalizeResponse read = NormalizeResponse.parseFrom(sent(message));
    assertEquals(List.of(1), read.getAxesList());
    assertEquals("x", read.getOutput().getName());
    assertEquals(List.of(10L, 100L), read.getOutput().getShapeList());
    float[] elements = new float[DATA.length];
    read.getOutput()
        .getData()
        .asReadOnlyByteBuffer()
        .order(ByteOrder.LITTLE_ENDIAN)
        .asFloatBuffer()
        .get(elements);
    assertArrayEquals(DATA, elements);
  }

  @Test
  void rangesMayBeginAndEndWithinElements() throws IOException {
    Elements elements = tensor("").elements();
    byte[] whole = new byte[4 * DATA.length];
    elements.copyTo(0, whole, 0, whole.length);
    for (int from = 0; from < 9; from++) {
      for (int length = 1; length < 14; length++) {
        byte[] part = new byte[length];
        elements.copyTo(from, part, 0, length);
        assertArrayEquals(java.util.Arrays.copyOfRange(whole, from, from + length), part);
      }
    }
  }

  @Test
  void tensorsAreReadFromFramesOfAnyLength() throws IOException {
    Outgoing message =
        Outgoing.of(NormalizeResponse.newBuilder().addAxes(1).build())
            .tensor(10, tensor("mean"))
            .tensor(14, tensor("y"));
    byte[] bytes = sent(message);
    for (int frame : new int[] {1, 3, 7, 64, 100_000}) {
      Incoming<NormalizeResponse> read =
          Marshallers.incoming(NormalizeResponse.parser(), Set.of(10, 14))
              .parse(new Frames(bytes, frame));
      assertEquals(List.of(1), read.rest().getAxesList());
      assertEquals("mean", read.tensor(10).name());
      assertNull(read.tensor(11));
      Elements.Floats elements = (Elements.Floats) read.tensor(14).elements();
      assertArrayEquals(DATA, elements.buffer().array());
    }
    Incoming<NormalizeResponse> plain =
        Marshallers.incoming(NormalizeResponse.parser(), Set.of(10, 14))
            .parse(new ByteArrayInputStream(bytes));
    assertEquals(4000, plain.tensor(14).elements().byteLength());
  }

  @Test
  void streamsFillElementsInOrder() throws IOException {
    Elements target = Elements.allocate(DATA.length, 4);
    Filler filler = new Filler("data", target);
    Elements source = tensor("").elements();
    for (long at = 0; at < source.byteLength(); ) {
      long length = Math.min(333, source.byteLength() - at);
      byte[] bytes = sent(Outgoing.data(source, at, length));
      Incoming<DropoutStreamResponse> read =
          Marshallers.stream(DropoutStreamResponse.parser(), field -> field == 15 ? filler : null)
              .parse(new Frames(bytes, 50));
      assertNull(read.rest());
      at += length;
    }
    assertEquals(FloatBuffer.wrap(DATA), ((Elements.Floats) filler.complete()).buffer());
    assertThrows(WireException.class, () -> filler.fill(ByteBuffer.allocate(1)));
    assertThrows(WireException.class, () -> new Filler("data", Elements.allocate(1, 8)).complete());
  }

  @Test
  void brokenMessagesAreRefused() throws IOException {
    byte[] bytes = sent(new Outgoing().tensor(14, tensor("y")));
    byte[] cut = java.util.Arrays.copyOf(bytes, bytes.length - 1);
    var marshaller = Marshallers.incoming(NormalizeResponse.parser(), Set.of(14));
    assertThrows(WireException.class, () -> marshaller.parse(new ByteArrayInputStream(cut)));
    Tensor odd =
        Tensor.newBuilder()
            .setDtypeValue(1)
            .setData(com.google.protobuf.ByteString.copyFrom(new byte[5]))
            .build();
    byte[] noElements = NormalizeResponse.newBuilder().setOutput(odd).build().toByteArray();
    assertThrows(WireException.class, () -> marshaller.parse(new ByteArrayInputStream(noElements)));
    byte[] tooLong = {
      (byte) (14 << 3 | 2), (byte) 0xFF, (byte) 0xFF, (byte) 0xFF, (byte) 0xFF, 0x0F
    };
    assertThrows(WireException.class, () -> marshaller.parse(new ByteArrayInputStream(tooLong)));
  }
}
