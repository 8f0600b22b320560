import com.google.protobuf.ByteString;
import dev.evenkeel.client.Client;
import dev.evenkeel.client.Tensor;
import dev.evenkeel.v1.DataType;
import dev.evenkeel.v1.NormKind;
import dev.evenkeel.v1.NormalizeRequest;
import dev.evenkeel.v1.NormalizeResponse;
import dev.evenkeel.v1.TensorOpsServiceGrpc;
import dev.evenkeel.v1.TensorOpsServiceGrpc.TensorOpsServiceBlockingStub;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.TimeUnit;

/**
 * Compares the client with the generated stub and the shortest correct code around it, in turns:
 * layer norm of float32 rows of 1024, from array to array. Prints a JSON line for each size.
 * Arguments: the server's address, and a number to multiply the rounds with, such as 0.1.
 */
public final class Bench {
  private static final int ROW = 1024;

  private static final int[] SIZES = {4 << 10, 256 << 10, 4 << 20, 64 << 20};

  private static final int LEAST_ROUNDS = 11;
  private static final int MOST_ROUNDS = 401;
  private static final long BYTES = 256 << 20;

  private interface Way {
    float[] normalize(float[] x);
  }

  public static void main(String[] arguments) {
    double factor = Double.parseDouble(arguments[1]);
    ManagedChannel channel =
        ManagedChannelBuilder.forTarget(arguments[0])
            .usePlaintext()
            .maxInboundMessageSize(1 << 30)
            .build();
    TensorOpsServiceBlockingStub stub = TensorOpsServiceGrpc.newBlockingStub(channel);
    try (Client client = Client.connect(arguments[0])) {
      for (int size : SIZES) {
        compare(size, factor, x -> byClient(client, x), x -> byStub(stub, x));
      }
    }
    channel.shutdownNow();
  }

  private static float[] byClient(Client client, float[] x) {
    return client.layerNorm(Tensor.of(x, x.length / ROW, ROW)).call().output().floats();
  }

  private static float[] byStub(TensorOpsServiceBlockingStub stub, float[] x) {
    ByteBuffer bytes = ByteBuffer.allocate(Float.BYTES * x.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(x);
    dev.evenkeel.v1.Tensor.Builder tensor =
        dev.evenkeel.v1.Tensor.newBuilder()
            .setDtype(DataType.DATA_TYPE_FLOAT32)
            .addShape(x.length / ROW)
            .addShape(ROW)
            .setData(ByteString.copyFrom(bytes));
    NormalizeResponse response =
        stub.withDeadlineAfter(60, TimeUnit.SECONDS) // docs/calls.md: each call has one
            .normalize(
                NormalizeRequest.newBuilder()
                    .setKind(NormKind.NORM_KIND_LAYER)
                    .setInput(tensor)
                    .build());
    float[] y = new float[x.length];
    response
        .getOutput()
        .getData()
        .asReadOnlyByteBuffer()
        .order(ByteOrder.LITTLE_ENDIAN)
        .asFloatBuffer()
        .get(y);
    return y;
  }

  private static void compare(int size, double factor, Way client, Way stub) {
    float[] x = new float[size / Float.BYTES];
    Random random = new Random(1);
    for (int i = 0; i < x.length; i++) {
      x[i] = random.nextFloat();
    }
    long all = Math.max(LEAST_ROUNDS, Math.min(MOST_ROUNDS, BYTES / size));
    int rounds = (int) Math.max(1, Math.round(factor * all));
    double[] ofClient = new double[rounds];
    double[] ofStub = new double[rounds];
    for (int round = -rounds / 4; round < rounds; round++) { // the first quarter warms up
      boolean clientFirst = round % 2 == 0;
      double first = seconds(clientFirst ? client : stub, x);
      double second = seconds(clientFirst ? stub : client, x);
      if (round >= 0) {
        ofClient[round] = clientFirst ? first : second;
        ofStub[round] = clientFirst ? second : first;
      }
    }
    if (!Arrays.equals(client.normalize(x), stub.normalize(x))) {
      throw new IllegalStateException("the two give different results");
    }
    double clientMedian = median(ofClient);
    double stubMedian = median(ofStub);
    System.out.printf(
        Locale.ROOT,
        "{\"bytes\": %d, \"client_seconds\": %.6f, \"stub_seconds\": %.6f, \"ratio\": %.2f}%n",
        size,
        clientMedian,
        stubMedian,
        stubMedian / clientMedian);
  }

  private static double seconds(Way way, float[] x) {
    long begin = System.nanoTime();
    way.normalize(x);
    return (System.nanoTime() - begin) / 1e9;
  }

  private static double median(double[] values) {
    Arrays.sort(values);
    return values[values.length / 2];
  }
}
