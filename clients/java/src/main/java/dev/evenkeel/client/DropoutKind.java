package dev.evenkeel.client;

/** Which elements are dropped together, and what replaces them. */
public enum DropoutKind {
  /**
   * One draw for every element; dropped elements become +0.0. {@code torch.nn.functional.dropout}.
   */
  ELEMENT(dev.evenkeel.v1.DropoutKind.DROPOUT_KIND_ELEMENT),
  /**
   * One draw for every (n, c) of an input (N, C, ...). {@code torch.nn.functional.dropout1d},
   * {@code dropout2d}, {@code dropout3d}.
   */
  CHANNEL(dev.evenkeel.v1.DropoutKind.DROPOUT_KIND_CHANNEL),
  /**
   * One draw for every element; an affine map keeps mean and variance. {@code
   * torch.nn.functional.alpha_dropout}.
   */
  ALPHA(dev.evenkeel.v1.DropoutKind.DROPOUT_KIND_ALPHA),
  /**
   * As {@link #ALPHA}, with one draw for every (n, c). {@code
   * torch.nn.functional.feature_alpha_dropout}.
   */
  FEATURE_ALPHA(dev.evenkeel.v1.DropoutKind.DROPOUT_KIND_FEATURE_ALPHA);

  private final dev.evenkeel.v1.DropoutKind wire;

  DropoutKind(dev.evenkeel.v1.DropoutKind wire) {
    this.wire = wire;
  }

  /**
   * The constant of this name, as in files of settings.
   *
   * @param name the name in lower case, such as {@code feature_alpha}
   * @return the constant
   * @throws InvalidArgumentException if there is none
   */
  public static DropoutKind named(String name) {
    return Arguments.named("kind", DropoutKind.class, name);
  }

  dev.evenkeel.v1.DropoutKind wire() {
    return wire;
  }
}
