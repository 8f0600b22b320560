import dev.evenkeel.client.Client;
import dev.evenkeel.client.NormPartial;
import dev.evenkeel.client.StatisticsPartial;
import dev.evenkeel.client.Tensor;
import java.util.List;

/**
 * Measures gradients and a row in two parts, as two workers would, and computes one part by the
 * measures of both.
 */
public final class Merge {
  public static void main(String[] arguments) {
    String address = System.getenv().getOrDefault("EVENKEEL_ADDRESS", "127.0.0.1:50051");

    try (Client client = Client.connect(address)) {
      List<Tensor> here = List.of(Tensor.of(new float[] {3}));
      List<Tensor> there = List.of(Tensor.of(new float[] {4}));
      byte[] sent = client.measureGradients(there).call().toBytes(); // from the other worker
      NormPartial norm = client.measureGradients(here).call().merge(NormPartial.fromBytes(sent));
      System.out.printf("total_norm %.7f%n", norm.totalNorm());
      System.out.println("elements " + norm.elements());
      List<Tensor> clipped =
          client.clipGradNorm(here, 1).totalNorm(norm.totalNorm()).call().gradients();
      show("clipped here", clipped.get(0));

      Tensor first = Tensor.of(new float[] {40000, 40001}, 1, 2);
      Tensor second = Tensor.of(new float[] {40002, 40003}, 1, 2);
      sent = client.measureStatistics(first).layer().call().toBytes(); // from the other worker
      StatisticsPartial statistics =
          client.measureStatistics(second).layer().call().merge(StatisticsPartial.fromBytes(sent));
      show("normalized here", client.layerNorm(second).statistics(statistics).call().output());
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
