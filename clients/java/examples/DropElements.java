import dev.evenkeel.client.Client;
import dev.evenkeel.client.Dropped;
import dev.evenkeel.client.KeepMask;
import dev.evenkeel.client.Tensor;
import java.util.Arrays;
import java.util.Objects;

/** Drops elements, and computes the same mask without the server. */
public final class DropElements {
  public static void main(String[] arguments) {
    String address =
        Objects.requireNonNullElse(System.getenv("EVENKEEL_ADDRESS"), "127.0.0.1:50051");
    float[] ones = new float[16];
    Arrays.fill(ones, 1);

    try (Client client = Client.connect(address)) {
      Dropped dropped = client.dropout(Tensor.of(ones, 2, 8), 0.3).seed(42).call();
      System.out.println("output " + Arrays.toString(dropped.output().floats()));
      System.out.println("kept   " + dropped.kept());
      System.out.println("mask   " + Arrays.toString(KeepMask.of(42, 16, 0.3, 0)));
    }
  }
}
