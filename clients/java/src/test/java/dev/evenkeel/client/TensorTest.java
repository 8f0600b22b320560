package dev.evenkeel.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import org.junit.jupiter.api.Test;

class TensorTest {
  private static final float[] DATA = {1, -2.5f, 3, 4, 5, 6};

  private static String fault(Runnable faulty) {
    InvalidArgumentException error = assertThrows(InvalidArgumentException.class, faulty::run);
    assertEquals(io.grpc.Status.Code.INVALID_ARGUMENT, error.code());
    return error.fields().get(0).path();
  }

  @Test
  void arraysAreNotCopied() {
    assertSame(DATA, Tensor.of(DATA, 2, 3).floats());
    double[] doubles = {1, 2};
    assertSame(doubles, Tensor.of(doubles).doubles());
  }

  @Test
  void shapesMustFit() {
    assertEquals("shape", fault(() -> Tensor.of(DATA, 2, 2)));
    assertEquals("shape", fault(() -> Tensor.of(DATA, -2, -3)));
    assertEquals("shape", fault(() -> Tensor.of(DATA, 1L << 62, 4, 6)));
    assertEquals("shape", fault(() -> Tensor.of(DATA, new long[65])));
    assertEquals("data", fault(() -> Tensor.of(DType.FLOAT32, ByteBuffer.allocate(7))));
    assertEquals("dtype", fault(() -> Tensor.of(DType.FLOAT32, new short[2])));
    assertArrayEquals(new long[] {6}, Tensor.of(DATA).shape());
    assertArrayEquals(new long[0], Tensor.of(new float[] {7}).reshape().shape());
    assertEquals(0, Tensor.of(new float[0], 1L << 62, 4, 0).size());
  }

  @Test
  void buffersOfAnyOrderHaveTheSameElements() {
    for (ByteOrder order : new ByteOrder[] {ByteOrder.BIG_ENDIAN, ByteOrder.LITTLE_ENDIAN}) {
      for (boolean direct : new boolean[] {false, true}) {
        int bytes = Float.BYTES * DATA.length + 3;
        ByteBuffer buffer =
            (direct ? ByteBuffer.allocateDirect(bytes) : ByteBuffer.allocate(bytes)).order(order);
        buffer.position(3);
        buffer.slice().order(order).asFloatBuffer().put(DATA);
        Tensor tensor = Tensor.of(DType.FLOAT32, buffer, 6);
        assertArrayEquals(DATA, tensor.floats());
        assertEquals(Tensor.of(DATA).bytes(), tensor.bytes());
        assertEquals(3, buffer.position());
      }
    }
    FloatBuffer middle = FloatBuffer.wrap(DATA, 1, 3);
    assertArrayEquals(new float[] {-2.5f, 3, 4}, Tensor.of(middle, 3).floats());
  }

  @Test
  void numbersAreConverted() {
    Tensor half = Tensor.of(DATA).named("w").to(DType.FLOAT16);
    assertEquals("w", half.name());
    assertArrayEquals(DATA, half.floats());
    assertArrayEquals(DATA, half.to(DType.BFLOAT16).to(DType.FLOAT64).floats());
    assertEquals(0x4100, Tensor.of(new double[] {2.5}).to(DType.FLOAT16).bitsBuffer().get(0));
    assertArrayEquals(new float[] {0x1p-3f}, Tensor.of(new double[] {0x1.0000001p-3}).floats());
    assertThrows(IllegalStateException.class, half::floatBuffer);
    assertThrows(IllegalStateException.class, half::doubleBuffer);
    assertThrows(IllegalStateException.class, Tensor.of(DATA)::bitsBuffer);
  }

  @Test
  void textShowsTheFirstElements() {
    assertEquals(
        "w: FLOAT32[2, 3][1.0, -2.5, 3.0, 4.0, 5.0, 6.0]",
        Tensor.of(DATA, 2, 3).named("w").toString());
    assertEquals(
        "FLOAT64[9][0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, ...]",
        Tensor.of(new double[9]).toString());
  }
}
