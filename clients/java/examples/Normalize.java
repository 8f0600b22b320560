import dev.evenkeel.client.Client;
import dev.evenkeel.client.NormalizeGradients;
import dev.evenkeel.client.Normalized;
import dev.evenkeel.client.Tensor;

/** Normalizes a row far from zero with a weight, and computes the gradients. */
public final class Normalize {
  public static void main(String[] arguments) {
    String address = System.getenv().getOrDefault("EVENKEEL_ADDRESS", "127.0.0.1:50051");
    Tensor x = Tensor.of(new float[] {40000, 40001, 40002, 40003}, 1, 4);
    Tensor weight = Tensor.of(new float[] {1, 1, 1, 2});
    Tensor gradOutput = Tensor.of(new float[] {1, 0, 0, 0}, 1, 4);

    try (Client client = Client.connect(address)) {
      Normalized y = client.layerNorm(x).weight(weight).eps(1e-6).returnStatistics(true).call();
      show("output", y.output());
      show("mean", y.mean().orElseThrow());
      show("rstd", y.rstd().orElseThrow());

      NormalizeGradients gradients =
          client.normalizeBackward(x, gradOutput).layer().weight(weight).eps(1e-6).call();
      show("grad_input", gradients.gradInput());
      show("grad_weight", gradients.gradWeight().orElseThrow());
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
