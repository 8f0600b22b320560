package dev.evenkeel.client.conformance;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/**
 * Answers the requests of conformance/README.md, one line each, by calls of the client's public
 * methods.
 */
public final class Adapter {
  private Adapter() {}

  /** Reads requests from standard input until it ends. */
  public static void main(String[] arguments) throws IOException {
    PrintStream output = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    System.setOut(System.err); // standard output is the protocol alone
    BufferedReader input =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    try (Clients clients = new Clients()) {
      for (String line = input.readLine(); line != null; line = input.readLine()) {
        JsonObject request = JsonParser.parseString(line).getAsJsonObject();
        output.println(answer(clients, request));
      }
    }
  }

  private static JsonElement answer(Clients clients, JsonObject request) {
    JsonObject answer = new JsonObject();
    answer.add("id", request.get("id"));
    try {
      answer.add("result", new Operations(clients, request).result());
    } catch (Unsupported unsupported) {
      answer.addProperty("unsupported", unsupported.getMessage());
    } catch (RuntimeException error) {
      answer.add("error", Failures.of(error));
    }
    return answer;
  }

  /** What Java cannot say. */
  static final class Unsupported extends RuntimeException {
    private static final long serialVersionUID = 1L;

    Unsupported(String reason) {
      super(reason);
    }
  }
}
