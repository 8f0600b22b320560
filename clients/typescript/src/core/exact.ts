/** Exact sums: whole numbers of 2^-2148, the square of the smallest float64 above 0. */

/** The most bytes of a sum. */
export const MAX_SUM_BYTES = 532;

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** The number that little-endian bytes are. */
export function fromBytes(bytes: Uint8Array): bigint {
  if (bytes.length === 0) return 0n;
  const digits = Array.from(bytes, (byte) => HEX[byte]).reverse();
  return BigInt(`0x${digits.join("")}`);
}

/** A number that is not negative as little-endian bytes, without zeros at the end. */
export function toBytes(number: bigint): Uint8Array {
  if (number === 0n) return new Uint8Array();
  const digits = number.toString(16);
  const hex = digits.length % 2 === 0 ? digits : `0${digits}`;
  const bytes = new Uint8Array(hex.length / 2);
  for (let at = 0; at < bytes.length; at += 1) {
    bytes[bytes.length - 1 - at] = Number.parseInt(hex.slice(2 * at, 2 * at + 2), 16);
  }
  return bytes;
}

/** The bytes without zeros at the end. */
export function significant(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  return bytes.subarray(0, end);
}

/** The number of bits of a number that is not negative; 0 for 0. */
function bitLength(number: bigint): number {
  return number === 0n ? 0 : number.toString(2).length;
}

/** The square root, rounded down. */
function squareRoot(number: bigint): bigint {
  if (number < 2n) return number;
  // Above the root, from where Newton's steps fall until they have reached it.
  let root = 1n << BigInt(Math.ceil(bitLength(number) / 2));
  for (;;) {
    const next = (root + number / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

/** mantissa * 2^shift in units of 2^-1074, the smallest float64 above 0. The mantissa has 53 bits, or fewer if `shift` is 0. */
function float64(mantissa: bigint, shift: number): number {
  if (shift > 2045) return Infinity;
  // A carry out of the mantissa raises the exponent, and one out of the largest float64 gives the bits of infinity.
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, (BigInt(shift) << 52n) + mantissa);
  return view.getFloat64(0);
}

/** The square root of a number of 2^-2148, rounded once, to nearest, ties to even. */
export function rootOfUnits(squares: bigint): number {
  const root = squareRoot(squares); // rounded down, in units of 2^-1074
  const shift = Math.max(bitLength(root) - 53, 0);
  const mantissa = root >> BigInt(shift);
  // Twice the point between the mantissa and the next, squared.
  const middle = (2n * mantissa + 1n) << BigInt(shift);
  const rest = 4n * squares - middle * middle;
  const up = rest > 0n || (rest === 0n && mantissa % 2n === 1n);
  return float64(mantissa + (up ? 1n : 0n), shift);
}

/** A number of 2^-2148 that is a multiple of 2^-1074, rounded once, to nearest, ties to even. */
export function valueOfUnits(sum: bigint): number {
  const value = sum >> 1074n;
  const shift = Math.max(bitLength(value) - 53, 0);
  const mantissa = value >> BigInt(shift);
  const twice = 2n * (value - (mantissa << BigInt(shift)));
  const unit = 1n << BigInt(shift);
  const up = twice > unit || (twice === unit && mantissa % 2n === 1n);
  return float64(mantissa + (up ? 1n : 0n), shift);
}
