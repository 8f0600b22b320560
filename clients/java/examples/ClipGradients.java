import dev.evenkeel.client.Client;
import dev.evenkeel.client.Clipped;
import dev.evenkeel.client.NonfiniteNormException;
import dev.evenkeel.client.Tensor;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Clips two gradients by their common norm and by value, and refuses those whose norm is infinite.
 */
public final class ClipGradients {
  public static void main(String[] arguments) {
    String address = System.getenv().getOrDefault("EVENKEEL_ADDRESS", "127.0.0.1:50051");
    Map<String, Tensor> gradients = new LinkedHashMap<>();
    gradients.put("w", Tensor.of(new float[] {3, 0}));
    gradients.put("b", Tensor.of(new float[] {0, 4}));

    try (Client client = Client.connect(address)) {
      Clipped clipped = client.clipGradNorm(gradients, 1).call();
      System.out.printf("total_norm %.7f%n", clipped.totalNorm());
      System.out.printf("scale %.7f%n", clipped.scale());
      clipped.byName().forEach(ClipGradients::show);

      Clipped clamped = client.clipGradValue(gradients, 3.5).call();
      System.out.println("clipped_elements " + clamped.clippedElements());
      clamped.byName().forEach(ClipGradients::show);

      gradients.put("b", Tensor.of(new float[] {Float.POSITIVE_INFINITY, 4}));
      try {
        client.clipGradNorm(gradients, 1).errorIfNonfinite(true).call();
      } catch (NonfiniteNormException nonfinite) {
        System.out.println("skip this step: " + String.join(" ", nonfinite.gradients().values()));
      }
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
