package dev.evenkeel.client;

import dev.evenkeel.client.internal.rpc.Running;
import dev.evenkeel.v1.ClipMode;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;

/**
 * A client of an evenkeel server. It may be used by many threads, and by many calls at once. Close
 * it to close its connections.
 *
 * <p>Tensors that are larger than the server's largest message are sent and received in pieces, in
 * both directions at once; so are tensors of some MiB, since that is faster. If the server has no
 * memory for what such a call has to hold, the client makes two passes.
 */
public final class Client implements AutoCloseable {
  private final Engine engine;

  Client(Engine engine) {
    this.engine = engine;
  }

  /**
   * A client with the default settings. The first call connects.
   *
   * @param address {@code host:port}, {@code http://host:port}, {@code https://host:port} or {@code
   *     unix:/path}
   * @return the client
   * @throws InvalidArgumentException if the address is none
   */
  public static Client connect(String address) {
    return builder(address).build();
  }

  /**
   * Settings for a client: a token, TLS, timeouts, retries, connections.
   *
   * @param address {@code host:port}, {@code http://host:port}, {@code https://host:port} or {@code
   *     unix:/path}
   * @return the settings
   * @throws InvalidArgumentException if the address is none
   */
  public static ClientBuilder builder(String address) {
    return new ClientBuilder(address);
  }

  /**
   * Normalizes a tensor. The kind comes next: {@code layer()}, {@code group(4)} or another.
   *
   * @param input the tensor
   * @return the call
   */
  public Normalize normalize(Tensor input) {
    return new Normalize(engine, input);
  }

  /**
   * Layer normalization: {@link NormKind#LAYER}.
   *
   * @param input the tensor
   * @return the call
   */
  public Normalize layerNorm(Tensor input) {
    return normalize(input).layer();
  }

  /**
   * RMS normalization: {@link NormKind#RMS}.
   *
   * @param input the tensor
   * @return the call
   */
  public Normalize rmsNorm(Tensor input) {
    return normalize(input).rms();
  }

  /**
   * Batch normalization: {@link NormKind#BATCH}.
   *
   * @param input the tensor
   * @return the call
   */
  public Normalize batchNorm(Tensor input) {
    return normalize(input).batch();
  }

  /**
   * Instance normalization: {@link NormKind#INSTANCE}.
   *
   * @param input the tensor
   * @return the call
   */
  public Normalize instanceNorm(Tensor input) {
    return normalize(input).instance();
  }

  /**
   * Group normalization: {@link NormKind#GROUP}.
   *
   * @param input the tensor
   * @param groups the number of groups, which must divide the number of channels
   * @return the call
   */
  public Normalize groupNorm(Tensor input, int groups) {
    return normalize(input).group(groups);
  }

  /**
   * L2 normalization: {@link NormKind#L2}.
   *
   * @param input the tensor
   * @return the call
   */
  public Normalize l2Norm(Tensor input) {
    return normalize(input).l2();
  }

  /**
   * The gradients of a normalization. The options are those of the forward call.
   *
   * @param input the input of the forward call
   * @param gradOutput the gradient of its output: shape and type of the input
   * @return the call
   */
  public NormalizeBackward normalizeBackward(Tensor input, Tensor gradOutput) {
    return new NormalizeBackward(engine, input, gradOutput);
  }

  /**
   * Drops elements at random.
   *
   * @param input the tensor
   * @param p the probability that an element is dropped, in [0, 1]
   * @return the call
   */
  public Dropout dropout(Tensor input, double p) {
    return new Dropout(engine, input, p);
  }

  /**
   * The gradient of a dropout. The options are those of the forward call.
   *
   * @param gradOutput the gradient of the forward call's output
   * @param p the probability of the forward call
   * @return the call
   */
  public DropoutBackward dropoutBackward(Tensor gradOutput, double p) {
    return new DropoutBackward(engine, gradOutput, p);
  }

  /**
   * Scales all gradients by one factor, so that the norm over all of them is at most {@code
   * maxNorm}. {@code torch.nn.utils.clip_grad_norm_}.
   *
   * @param gradients the gradients, of any types; their order is kept
   * @param maxNorm the largest norm: not NaN, not negative
   * @return the call
   */
  public ClipGradients clipGradNorm(List<Tensor> gradients, double maxNorm) {
    return new ClipGradients(engine, copy(gradients), ClipMode.CLIP_MODE_NORM, maxNorm);
  }

  /**
   * Scales all gradients by one factor, so that the norm over all of them is at most {@code
   * maxNorm}.
   *
   * @param gradients the gradients by the names of their parameters; the map's order is kept
   * @param maxNorm the largest norm: not NaN, not negative
   * @return the call
   */
  public ClipGradients clipGradNorm(Map<String, Tensor> gradients, double maxNorm) {
    return clipGradNorm(named(gradients), maxNorm);
  }

  /**
   * Clamps every element to {@code [-maxValue, maxValue]}; NaN stays NaN. {@code
   * torch.nn.utils.clip_grad_value_}.
   *
   * @param gradients the gradients, of any types; their order is kept
   * @param maxValue the largest absolute value: not NaN, not negative
   * @return the call
   */
  public ClipGradients clipGradValue(List<Tensor> gradients, double maxValue) {
    return new ClipGradients(engine, copy(gradients), ClipMode.CLIP_MODE_VALUE, maxValue);
  }

  /**
   * Clamps every element to {@code [-maxValue, maxValue]}; NaN stays NaN.
   *
   * @param gradients the gradients by the names of their parameters; the map's order is kept
   * @param maxValue the largest absolute value: not NaN, not negative
   * @return the call
   */
  public ClipGradients clipGradValue(Map<String, Tensor> gradients, double maxValue) {
    return clipGradValue(named(gradients), maxValue);
  }

  /**
   * Measures a norm in a form that merges exactly with that of other gradients, on other machines.
   *
   * @param gradients the gradients, of any types
   * @return the call
   */
  public MeasureGradients measureGradients(List<Tensor> gradients) {
    return new MeasureGradients(engine, copy(gradients));
  }

  /**
   * Measures a norm in a form that merges exactly with that of other gradients, on other machines.
   *
   * @param gradients the gradients by the names of their parameters, which have no effect here
   * @return the call
   */
  public MeasureGradients measureGradients(Map<String, Tensor> gradients) {
    return measureGradients(named(gradients));
  }

  /**
   * Measures the statistics of a part of a tensor in a form that merges exactly with those of the
   * other parts. The kind comes next.
   *
   * @param input the part
   * @return the call
   */
  public MeasureStatistics measureStatistics(Tensor input) {
    return new MeasureStatistics(engine, input);
  }

  /**
   * Asks the server for its version, its limits and what it can do.
   *
   * @return the answer
   * @throws EvenkeelException if the call fails
   */
  public ServerInfo serverInfo() {
    return serverInfoCall().call();
  }

  /**
   * As {@link #serverInfo}, without waiting.
   *
   * @return the answer, or an {@link EvenkeelException}
   */
  public CompletableFuture<ServerInfo> serverInfoAsync() {
    return serverInfoCall().callAsync();
  }

  private ServerInfoCall serverInfoCall() {
    return new ServerInfoCall(engine);
  }

  private static final class ServerInfoCall extends Call<ServerInfo, ServerInfoCall> {
    ServerInfoCall(Engine engine) {
      super(engine);
    }

    @Override
    ServerInfoCall self() {
      return this;
    }

    @Override
    CompletableFuture<ServerInfo> start(Running running) {
      return engine.info(running);
    }
  }

  private static List<Tensor> copy(List<Tensor> gradients) {
    List<Tensor> copy = new ArrayList<>(Arguments.required("gradients", gradients));
    for (int i = 0; i < copy.size(); i++) {
      Arguments.required("gradients[" + i + "]", copy.get(i));
    }
    return copy;
  }

  private static List<Tensor> named(Map<String, Tensor> gradients) {
    List<Tensor> named = new ArrayList<>();
    Arguments.required("gradients", gradients)
        .forEach(
            (name, gradient) ->
                named.add(Arguments.required("gradients[" + name + "]", gradient).named(name)));
    return named;
  }

  /** Closes the connections. Calls that are under way fail. */
  @Override
  public void close() {
    engine.close();
  }
}
