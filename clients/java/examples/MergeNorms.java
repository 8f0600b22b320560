import dev.evenkeel.client.Client;
import dev.evenkeel.client.Clipped;
import dev.evenkeel.client.NormPartial;
import dev.evenkeel.client.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/**
 * Clips gradients that two workers hold by the norm of all of them, to the same bits as one worker
 * that had both.
 */
public final class MergeNorms {
  public static void main(String[] arguments) {
    String address =
        Objects.requireNonNullElse(System.getenv("EVENKEEL_ADDRESS"), "127.0.0.1:50051");
    List<Tensor> first = List.of(Tensor.of(new float[] {3}));
    List<Tensor> second = List.of(Tensor.of(new float[] {4}));

    try (Client client = Client.connect(address)) {
      byte[] sent =
          client
              .measureGradients(second)
              .call()
              .toBytes(); // what the second worker sends to the first
      NormPartial all = client.measureGradients(first).call().merge(NormPartial.fromBytes(sent));
      System.out.println("total norm " + all.totalNorm());

      Clipped clipped = client.clipGradNorm(first, 1).totalNorm(all.totalNorm()).call();
      System.out.println("first part " + Arrays.toString(clipped.gradients().get(0).floats()));
    }
  }
}
