package dev.evenkeel.client;

/** How kept elements are scaled. */
public enum DropoutScaling {
  /** They are multiplied by 1 / (1 - p), so that the expected value does not change. */
  INVERTED(dev.evenkeel.v1.DropoutScaling.DROPOUT_SCALING_INVERTED),
  /** They come back bit for bit. Refused for the alpha kinds. */
  NONE(dev.evenkeel.v1.DropoutScaling.DROPOUT_SCALING_NONE);

  private final dev.evenkeel.v1.DropoutScaling wire;

  DropoutScaling(dev.evenkeel.v1.DropoutScaling wire) {
    this.wire = wire;
  }

  /**
   * The constant of this name, as in files of settings.
   *
   * @param name the name in lower case, such as {@code inverted}
   * @return the constant
   * @throws InvalidArgumentException if there is none
   */
  public static DropoutScaling named(String name) {
    return Arguments.named("scaling", DropoutScaling.class, name);
  }

  dev.evenkeel.v1.DropoutScaling wire() {
    return wire;
  }
}
