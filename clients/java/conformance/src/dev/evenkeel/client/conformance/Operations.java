package dev.evenkeel.client.conformance;

import com.google.gson.Gson;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.evenkeel.client.Call;
import dev.evenkeel.client.Client;
import dev.evenkeel.client.ClipGradients;
import dev.evenkeel.client.Clipped;
import dev.evenkeel.client.DType;
import dev.evenkeel.client.Dropout;
import dev.evenkeel.client.DropoutCall;
import dev.evenkeel.client.DropoutKind;
import dev.evenkeel.client.DropoutScaling;
import dev.evenkeel.client.Dropped;
import dev.evenkeel.client.KeepMask;
import dev.evenkeel.client.MeasureGradients;
import dev.evenkeel.client.MeasureStatistics;
import dev.evenkeel.client.NormKind;
import dev.evenkeel.client.NormPartial;
import dev.evenkeel.client.NormalizationCall;
import dev.evenkeel.client.NormalizeGradients;
import dev.evenkeel.client.Normalized;
import dev.evenkeel.client.PooledCall;
import dev.evenkeel.client.ServerInfo;
import dev.evenkeel.client.StatisticsPartial;
import dev.evenkeel.client.Tensor;
import java.math.BigInteger;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/** The operation of a request. */
final class Operations {
  private final Clients clients;
  private final JsonObject request;
  private final JsonObject args;
  private final JsonObject result = new JsonObject();

  Operations(Clients clients, JsonObject request) {
    this.clients = clients;
    this.request = request;
    this.args = request.has("args") ? request.getAsJsonObject("args") : new JsonObject();
  }

  JsonObject result() {
    switch (request.get("op").getAsString()) {
      case "normalize" -> add(run(normalization(client().normalize(tensor("input")))));
      case "normalize_backward" ->
          add(
              run(
                  normalization(
                      client().normalizeBackward(tensor("input"), tensor("grad_output")))));
      case "dropout" -> dropout();
      case "dropout_backward" ->
          add(
              "grad_input",
              run(options(client().dropoutBackward(tensor("grad_output"), number("p")))));
      case "clip_gradients" -> add(run(clipping()));
      case "measure_gradients" -> measureGradients();
      case "measure_statistics" -> measureStatistics();
      case "server_info" -> serverInfo();
      case "keep_mask" -> keepMask();
      case "convert" ->
          add("output", tensor("input").to(DType.named(args.get("dtype").getAsString())));
      case "merge_norms" -> mergeNorms();
      case "merge_statistics" -> mergeStatistics();
      default -> throw new Adapter.Unsupported("no such operation");
    }
    return result;
  }

  private Client client() {
    return clients.get(request.getAsJsonObject("client"));
  }

  private <R, S extends Call<R, S>> R run(Call<R, S> call) {
    if (request.has("timeout_ms")) {
      call.deadline(Duration.ofMillis(request.get("timeout_ms").getAsLong()));
    }
    if (!request.has("cancel_after_ms")) {
      return call.call();
    }
    CompletableFuture<R> future = call.callAsync();
    CompletableFuture.delayedExecutor(
            request.get("cancel_after_ms").getAsLong(), TimeUnit.MILLISECONDS)
        .execute(() -> future.cancel(true));
    return future.join();
  }

  private <S extends PooledCall<?, S>> S pooled(S call) {
    given("kind", kind -> call.kind(NormKind.named(kind.getAsString())));
    given("axes", axes -> call.axes(integers(axes)));
    given("groups", groups -> call.groups(integer(groups)));
    given("channel_axis", axis -> call.channelAxis(integer(axis)));
    return call;
  }

  private <S extends NormalizationCall<?, S>> S normalization(S call) {
    pooled(call);
    given("eps", eps -> call.eps(eps.getAsDouble()));
    given("training", training -> call.training(training.getAsBoolean()));
    given("momentum", momentum -> call.momentum(momentum.getAsDouble()));
    given("return_statistics", returned -> call.returnStatistics(returned.getAsBoolean()));
    given("statistics", bytes -> call.statistics(StatisticsPartial.fromBytes(Values.bytes(bytes))));
    given("weight", weight -> call.weight(Values.tensor(weight)));
    given("bias", bias -> call.bias(Values.tensor(bias)));
    given("running_mean", mean -> call.runningMean(Values.tensor(mean)));
    given("running_var", var -> call.runningVar(Values.tensor(var)));
    return call;
  }

  private <S extends DropoutCall<?, S>> S options(S call) {
    given("seed", seed -> call.seed(new BigInteger(seed.getAsString())));
    given("offset", offset -> call.offset(new BigInteger(offset.getAsString())));
    given("kind", kind -> call.kind(DropoutKind.named(kind.getAsString())));
    given("scaling", scaling -> call.scaling(DropoutScaling.named(scaling.getAsString())));
    given("channel_axis", axis -> call.channelAxis(integer(axis)));
    return call;
  }

  private void dropout() {
    Dropout call = options(client().dropout(tensor("input"), number("p")));
    given("return_mask", returned -> call.returnMask(returned.getAsBoolean()));
    Dropped dropped = run(call);
    add("output", dropped.output());
    result.addProperty("kept", Long.toUnsignedString(dropped.kept()));
    dropped.mask().ifPresent(mask -> result.add("mask", Values.bytes(mask.bytes())));
  }

  private ClipGradients clipping() {
    String mode = args.get("mode").getAsString();
    double threshold = number("threshold");
    ClipGradients call =
        mode.equals("value")
            ? client().clipGradValue(gradients(), threshold)
            : client()
                .clipGradNorm(gradients(), threshold)
                .perTensor(mode.equals("norm_per_tensor"));
    given("norm_type", order -> call.normType(order.getAsDouble()));
    given("error_if_nonfinite", error -> call.errorIfNonfinite(error.getAsBoolean()));
    given("total_norm", norm -> call.totalNorm(norm.getAsDouble()));
    given("epsilon", epsilon -> call.epsilon(epsilon.getAsDouble()));
    given("not_above", notAbove -> call.notAbove(notAbove.getAsBoolean()));
    return call;
  }

  private void measureGradients() {
    MeasureGradients call = client().measureGradients(gradients());
    given("norm_type", order -> call.normType(order.getAsDouble()));
    add(run(call));
  }

  private void measureStatistics() {
    MeasureStatistics call = pooled(client().measureStatistics(tensor("input")));
    given("grad_output", gradient -> call.gradOutput(Values.tensor(gradient)));
    result.add("partial", Values.bytes(run(call).toBytes()));
  }

  private void serverInfo() {
    int before = clients.warnings();
    ServerInfo info = client().serverInfo();
    result.addProperty("version", info.version());
    result.addProperty("max_message_bytes", Long.toString(info.maxMessageBytes()));
    result.addProperty("max_stream_chunk_bytes", Long.toString(info.maxStreamChunkBytes()));
    result.addProperty("warned", clients.warnings() > before);
  }

  private void keepMask() {
    BigInteger offset =
        args.has("offset") ? new BigInteger(args.get("offset").getAsString()) : BigInteger.ZERO;
    BigInteger seed =
        args.has("seed") ? new BigInteger(args.get("seed").getAsString()) : BigInteger.ZERO;
    boolean[] keep = KeepMask.of(seed, args.get("n").getAsInt(), number("p"), offset);
    byte[] bytes = new byte[keep.length];
    IntStream.range(0, keep.length).forEach(i -> bytes[i] = (byte) (keep[i] ? 1 : 0));
    result.add("keep", Values.bytes(bytes));
  }

  private void mergeNorms() {
    args.getAsJsonArray("partials").asList().stream()
        .map(bytes -> NormPartial.fromBytes(Values.bytes(bytes)))
        .reduce(NormPartial::merge)
        .ifPresent(this::add);
  }

  private void mergeStatistics() {
    args.getAsJsonArray("partials").asList().stream()
        .map(bytes -> StatisticsPartial.fromBytes(Values.bytes(bytes)))
        .reduce(StatisticsPartial::merge)
        .ifPresent(partial -> result.add("partial", Values.bytes(partial.toBytes())));
  }

  private void add(NormPartial partial) {
    result.add("partial", Values.bytes(partial.toBytes()));
    result.add("total_norm", Values.number(partial.totalNorm()));
  }

  private void add(Normalized normalized) {
    add("output", normalized.output());
    result.add("axes", new Gson().toJsonTree(normalized.axes()));
    add("mean", normalized.mean());
    add("rstd", normalized.rstd());
    add("running_mean", normalized.runningMean());
    add("running_var", normalized.runningVar());
  }

  private void add(NormalizeGradients gradients) {
    add("grad_input", gradients.gradInput());
    add("grad_weight", gradients.gradWeight());
    add("grad_bias", gradients.gradBias());
  }

  private void add(Clipped clipped) {
    JsonArray gradients = new JsonArray();
    clipped.gradients().forEach(gradient -> gradients.add(Values.json(gradient, digest())));
    result.add("gradients", gradients);
    result.add("total_norm", Values.number(clipped.totalNorm()));
    result.add("scale", Values.number(clipped.scale()));
    result.addProperty("clipped_elements", Long.toUnsignedString(clipped.clippedElements()));
    JsonArray norms = new JsonArray();
    clipped.tensorNorms().forEach(norm -> norms.add(Values.number(norm)));
    result.add("tensor_norms", norms);
  }

  private void add(String name, Optional<Tensor> tensor) {
    tensor.ifPresent(present -> add(name, present));
  }

  private void add(String name, Tensor tensor) {
    result.add(name, Values.json(tensor, digest()));
  }

  private boolean digest() {
    return request.has("digest") && request.get("digest").getAsBoolean();
  }

  private void given(String name, Consumer<JsonElement> set) {
    if (args.has(name)) {
      set.accept(args.get(name));
    }
  }

  private static int[] integers(JsonElement numbers) {
    return numbers.getAsJsonArray().asList().stream().mapToInt(Operations::integer).toArray();
  }

  /** An int; a larger number cannot be passed to the client. */
  private static int integer(JsonElement number) {
    try {
      return number.getAsBigInteger().intValueExact();
    } catch (ArithmeticException tooLarge) {
      throw new Adapter.Unsupported("a Java int cannot be so large");
    }
  }

  private Tensor tensor(String name) {
    return Values.tensor(args.get(name));
  }

  private List<Tensor> gradients() {
    return args.getAsJsonArray("gradients").asList().stream().map(Values::tensor).toList();
  }

  private double number(String name) {
    return args.get(name).getAsDouble();
  }
}
