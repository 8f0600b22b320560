package dev.evenkeel.client;

import dev.evenkeel.v1.NormalizeRequest;
import java.util.Arrays;

/**
 * The options that say which elements are pooled together.
 *
 * @param <R> the result
 * @param <S> the type of the call itself
 */
public abstract class PooledCall<R, S extends PooledCall<R, S>> extends Call<R, S> {
  /** The options that are numbers; without tensors. */
  final NormalizeRequest.Builder request = NormalizeRequest.newBuilder();

  PooledCall(Engine engine) {
    super(engine);
  }

  /**
   * The kind of normalization. One is required.
   *
   * @param kind the kind
   * @return this call
   */
  public final S kind(NormKind kind) {
    request.setKind(Arguments.required("kind", kind).wire());
    return self();
  }

  /**
   * Pools each channel: {@link NormKind#BATCH}.
   *
   * @return this call
   */
  public final S batch() {
    return kind(NormKind.BATCH);
  }

  /**
   * Pools each row: {@link NormKind#LAYER}.
   *
   * @return this call
   */
  public final S layer() {
    return kind(NormKind.LAYER);
  }

  /**
   * Pools each row, and subtracts no mean: {@link NormKind#RMS}.
   *
   * @return this call
   */
  public final S rms() {
    return kind(NormKind.RMS);
  }

  /**
   * Pools each channel of each sample: {@link NormKind#INSTANCE}.
   *
   * @return this call
   */
  public final S instance() {
    return kind(NormKind.INSTANCE);
  }

  /**
   * Pools each group of channels of each sample: {@link NormKind#GROUP}.
   *
   * @param groups the number of groups, which must divide the number of channels
   * @return this call
   */
  public final S group(int groups) {
    return kind(NormKind.GROUP).groups(groups);
  }

  /**
   * Makes vectors of length 1: {@link NormKind#L2}.
   *
   * @return this call
   */
  public final S l2() {
    return kind(NormKind.L2);
  }

  /**
   * GROUP: the number of groups. Refused for the other kinds.
   *
   * @param groups the number, which must divide the number of channels
   * @return this call
   */
  public final S groups(int groups) {
    request.setGroups(Arguments.notNegative("groups", groups));
    return self();
  }

  /**
   * The axes to pool over. GROUP: those that are pooled together with a group's channels.
   *
   * @param axes the axes; negative ones count from the end; none: those of the kind, which is the
   *     default
   * @return this call
   */
  public final S axes(int... axes) {
    request.clearAxes();
    Arrays.stream(axes).forEach(request::addAxes);
    return self();
  }

  /**
   * BATCH, INSTANCE, GROUP: the axis of the channels. Refused for the other kinds.
   *
   * @param axis the axis; negative ones count from the end. Default: 1
   * @return this call
   */
  public final S channelAxis(int axis) {
    request.setChannelAxis(axis);
    return self();
  }

  @Override
  void validate() {
    if (request.getKindValue() == 0) {
      throw InvalidArgumentException.of(
          "kind", "required: layer(), rms(), batch(), instance(), group(n) or l2()");
    }
  }
}
