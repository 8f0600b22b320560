import dev.evenkeel.client.Client;
import dev.evenkeel.client.Tensor;
import java.util.Arrays;

/** Normalizes a row of four numbers. */
public final class FirstCall {
  public static void main(String[] arguments) {
    float[] row = {40000, 40001, 40002, 40003};

    try (Client client = Client.connect(arguments.length > 0 ? arguments[0] : "127.0.0.1:50051")) {
      float[] normalized = client.layerNorm(Tensor.of(row, 1, 4)).call().output().floats();
      System.out.println(Arrays.toString(normalized));
    }
  }
}
