import dev.evenkeel.client.Client;
import dev.evenkeel.client.Normalized;
import dev.evenkeel.client.Tensor;
import java.time.Duration;
import java.util.Arrays;
import java.util.Objects;

/** Normalizes rows with a weight and a bias, and asks for the statistics. */
public final class NormalizeRows {
  public static void main(String[] arguments) {
    String address =
        Objects.requireNonNullElse(System.getenv("EVENKEEL_ADDRESS"), "127.0.0.1:50051");
    Tensor rows = Tensor.of(new float[] {40000, 40001, 40002, 40003}, 1, 4);
    Tensor weight = Tensor.of(new float[] {1, 1, 1, 1});
    Tensor bias = Tensor.of(new float[] {0, 0, 0, 0});

    try (Client client = Client.connect(address)) {
      Normalized normalized =
          client
              .layerNorm(rows)
              .weight(weight)
              .bias(bias)
              .returnStatistics(true)
              .deadline(Duration.ofSeconds(30))
              .call();
      System.out.println("output " + Arrays.toString(normalized.output().floats()));
      System.out.println("mean   " + Arrays.toString(normalized.mean().orElseThrow().floats()));
      System.out.println("rstd   " + Arrays.toString(normalized.rstd().orElseThrow().floats()));
    }
  }
}
