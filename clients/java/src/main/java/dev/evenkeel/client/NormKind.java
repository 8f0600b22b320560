package dev.evenkeel.client;

/** Which elements a normalization pools, and how. */
public enum NormKind {
  /**
   * Statistics per channel, over all axes but the channels'. {@code
   * torch.nn.functional.batch_norm}.
   */
  BATCH(dev.evenkeel.v1.NormKind.NORM_KIND_BATCH),
  /**
   * Statistics over the last axis of tensors of rank 1 to 3, over all axes but the first of higher
   * ranks. {@code torch.nn.functional.layer_norm}.
   */
  LAYER(dev.evenkeel.v1.NormKind.NORM_KIND_LAYER),
  /**
   * As {@link #LAYER}, by the root of the mean square; no mean is subtracted. {@code
   * torch.nn.functional.rms_norm}.
   */
  RMS(dev.evenkeel.v1.NormKind.NORM_KIND_RMS),
  /**
   * Statistics per sample and channel, over all axes but 0 and the channels'; rank 3 and up. {@code
   * torch.nn.functional.instance_norm}.
   */
  INSTANCE(dev.evenkeel.v1.NormKind.NORM_KIND_INSTANCE),
  /**
   * Statistics per sample and group of channels, over all axes but 0. {@code
   * torch.nn.functional.group_norm}.
   */
  GROUP(dev.evenkeel.v1.NormKind.NORM_KIND_GROUP),
  /**
   * Elements divided by their norm over axis 1 (rank 1: axis 0), or by eps if the norm is smaller.
   * No weight, no bias. {@code torch.nn.functional.normalize}.
   */
  L2(dev.evenkeel.v1.NormKind.NORM_KIND_L2);

  private final dev.evenkeel.v1.NormKind wire;

  NormKind(dev.evenkeel.v1.NormKind wire) {
    this.wire = wire;
  }

  /**
   * The constant of this name, as in files of settings.
   *
   * @param name the name in lower case, such as {@code layer}
   * @return the constant
   * @throws InvalidArgumentException if there is none
   */
  public static NormKind named(String name) {
    return Arguments.named("kind", NormKind.class, name);
  }

  dev.evenkeel.v1.NormKind wire() {
    return wire;
  }

  /** The kind in a message; null if the client does not know it. */
  static NormKind of(dev.evenkeel.v1.NormKind wire) {
    for (NormKind kind : values()) {
      if (kind.wire == wire) {
        return kind;
      }
    }
    return null;
  }
}
