import dev.evenkeel.client.Client;
import dev.evenkeel.client.Dropped;
import dev.evenkeel.client.KeepMask;
import dev.evenkeel.client.Mask;
import dev.evenkeel.client.Tensor;
import java.util.Arrays;

/**
 * Drops elements, computes the mask without the server, and drops a part and its gradient by the
 * same draws.
 */
public final class Dropout {
  public static void main(String[] arguments) {
    String address = System.getenv().getOrDefault("EVENKEEL_ADDRESS", "127.0.0.1:50051");
    float[] x = new float[16];
    Arrays.fill(x, 1);

    try (Client client = Client.connect(address)) {
      Dropped dropped = client.dropout(Tensor.of(x, 2, 8), 0.3).seed(42).returnMask(true).call();
      show("output", dropped.output());
      System.out.println("kept " + dropped.kept());
      boolean[] mask = KeepMask.of(42, x.length, 0.3, 0);
      Mask sent = dropped.mask().orElseThrow();
      boolean same = true;
      for (int draw = 0; draw < mask.length; draw++) {
        same &= mask[draw] == sent.kept(draw);
      }
      System.out.println("same mask " + (same ? "yes" : "no"));

      Tensor secondRow = Tensor.of(Arrays.copyOfRange(x, 8, 16), 1, 8);
      show("second row", client.dropout(secondRow, 0.3).seed(42).offset(8).call().output());
      Tensor gradOutput = Tensor.of(new float[] {1, 2, 3, 4, 5, 6, 7, 8}, 1, 8);
      show("grad_input", client.dropoutBackward(gradOutput, 0.3).seed(42).offset(8).call());
    }
  }

  /** Prints a name and numbers. */
  private static void show(String name, Tensor tensor) {
    System.out.print(name);
    for (float value : tensor.floats()) {
      System.out.printf(" %.7f", value);
    }
    System.out.println();
  }
}
