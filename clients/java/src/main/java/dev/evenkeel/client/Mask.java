package dev.evenkeel.client;

/** Which draws of a dropout have kept their elements. */
public final class Mask {
  private final long draws;
  private final byte[] bits;

  Mask(long draws, byte[] bits) {
    this.draws = draws;
    this.bits = bits;
  }

  /** {@return the number of draws: that of the elements, or of the channels of all samples} */
  public long draws() {
    return draws;
  }

  /**
   * Whether a draw has kept its element or channel.
   *
   * @param draw the index: of the element in row-major order, or n * C + c
   * @return true for kept
   * @throws IndexOutOfBoundsException if there is no such draw
   */
  public boolean kept(long draw) {
    if (draw < 0 || draw >= draws) {
      throw new IndexOutOfBoundsException("draw " + draw + " of " + draws);
    }
    return (bits[(int) (draw >>> 3)] >>> (draw & 7) & 1) == 1;
  }

  /**
   * {@return a copy of the bits, one for every draw, 1 for kept, least significant bit first; the
   * last byte is padded with 0}
   */
  public byte[] bytes() {
    return bits.clone();
  }
}
