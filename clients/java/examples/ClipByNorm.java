import dev.evenkeel.client.Client;
import dev.evenkeel.client.Clipped;
import dev.evenkeel.client.Tensor;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/** Clips the gradients of two parameters by their common norm. */
public final class ClipByNorm {
  public static void main(String[] arguments) {
    String address =
        Objects.requireNonNullElse(System.getenv("EVENKEEL_ADDRESS"), "127.0.0.1:50051");
    Map<String, Tensor> gradients = new LinkedHashMap<>();
    gradients.put("w", Tensor.of(new float[] {3, 0}));
    gradients.put("b", Tensor.of(new float[] {0, 4}));

    try (Client client = Client.connect(address)) {
      Clipped clipped = client.clipGradNorm(gradients, 1).call();
      System.out.println("norm " + clipped.totalNorm());
      clipped
          .byName()
          .forEach(
              (name, gradient) ->
                  System.out.println(name + " " + Arrays.toString(gradient.floats())));
    }
  }
}
