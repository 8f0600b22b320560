package dev.evenkeel.client;

import dev.evenkeel.client.internal.wire.WireException;
import dev.evenkeel.v1.DropoutRequest;
import dev.evenkeel.v1.DropoutRequestOrBuilder;
import java.math.BigInteger;

/**
 * The options of a dropout, which both directions have. Draw i of a seed is word i of NumPy's
 * {@code Philox(key=seed)}; {@link KeepMask} computes it.
 *
 * @param <R> the result
 * @param <S> the type of the call itself
 */
public abstract class DropoutCall<R, S extends DropoutCall<R, S>> extends Call<R, S> {
  /** The options. DropoutBackwardRequest has the same fields with the same numbers. */
  final DropoutRequest.Builder request;

  DropoutCall(Engine engine, double p) {
    super(engine);
    this.request = DropoutRequest.newBuilder().setP(p);
  }

  /**
   * The key of the stream of draws.
   *
   * @param seed 64 bits; a negative number stands for itself plus 2^64. Default: 0, so that calls
   *     without a seed have the same draws
   * @return this call
   */
  public final S seed(long seed) {
    request.setSeed(seed);
    return self();
  }

  /**
   * The key of the stream of draws, as an unsigned number.
   *
   * @param seed from 0 to 2^64 - 1
   * @return this call
   * @throws InvalidArgumentException for other numbers
   */
  public final S seed(BigInteger seed) {
    return seed(Arguments.unsigned("seed", seed));
  }

  /**
   * The index of the first draw in the seed's stream. Slices of a tensor that are sent apart, each
   * with its own offset, join to the whole.
   *
   * @param offset 64 bits, counted in draws; a negative number stands for itself plus 2^64.
   *     Default: 0
   * @return this call
   */
  public final S offset(long offset) {
    request.setOffset(offset);
    return self();
  }

  /**
   * The index of the first draw, as an unsigned number.
   *
   * @param offset from 0 to 2^64 - 1
   * @return this call
   * @throws InvalidArgumentException for other numbers
   */
  public final S offset(BigInteger offset) {
    return offset(Arguments.unsigned("offset", offset));
  }

  /**
   * Which elements are dropped together.
   *
   * @param kind the kind. Default: {@link DropoutKind#ELEMENT}
   * @return this call
   */
  public final S kind(DropoutKind kind) {
    request.setKind(Arguments.required("kind", kind).wire());
    return self();
  }

  /**
   * How kept elements are scaled.
   *
   * @param scaling the scaling. Default: {@link DropoutScaling#INVERTED}
   * @return this call
   */
  public final S scaling(DropoutScaling scaling) {
    request.setScaling(Arguments.required("scaling", scaling).wire());
    return self();
  }

  /**
   * CHANNEL, FEATURE_ALPHA: the axis of the channels, other than axis 0. Refused for the other
   * kinds.
   *
   * @param axis the axis; negative ones count from the end. Default: 1
   * @return this call
   */
  public final S channelAxis(int axis) {
    request.setChannelAxis(axis);
    return self();
  }

  /** Throws if more elements were kept than the tensor has. */
  static void checkKept(long kept, Tensor input) {
    if (Long.compareUnsigned(kept, input.size()) > 0) {
      throw new WireException("kept", "is " + Long.toUnsignedString(kept) + " of " + input.size());
    }
  }

  /**
   * The number of draws for a tensor, whose channel axis the server has accepted or will refuse.
   */
  static long draws(DropoutRequestOrBuilder request, Tensor input) {
    long[] shape = input.shape();
    boolean perChannel =
        request.getKind() == dev.evenkeel.v1.DropoutKind.DROPOUT_KIND_CHANNEL
            || request.getKind() == dev.evenkeel.v1.DropoutKind.DROPOUT_KIND_FEATURE_ALPHA;
    if (!perChannel || shape.length < 2) {
      return input.size();
    }
    int axis = request.hasChannelAxis() ? request.getChannelAxis() : 1;
    return shape[0] * shape[Math.floorMod(axis, shape.length)];
  }
}
