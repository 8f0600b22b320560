/** Conversions between element types, rounded once, to nearest, ties to even. A NaN stays a NaN, and becomes a quiet one. */

import { elementsOf, sizeOf, type DType, type Elements } from "./dtype.js";

/** A binary format of 16 bits: a sign, the exponent, and the bits of the mantissa without the hidden one. */
interface Format {
  readonly mantissaBits: number;
  readonly bias: number;
  /** The exponent of infinities and NaNs. */
  readonly special: number;
}

const FLOAT16: Format = { mantissaBits: 10, bias: 15, special: 31 };
const BFLOAT16: Format = { mantissaBits: 7, bias: 127, special: 255 };

/** The mantissa bits of a float32, which numbers are reduced to before they are rounded; a further bit tells whether any were lost. */
const FLOAT32_BITS = 23;

/**
 * Rounds a number to a format.
 *
 * @param exponent - Without bias.
 * @param mantissa - 24 bits, the highest of which is the hidden one.
 * @param sticky - Whether the number is a little more than this.
 */
function rounded({ mantissaBits, bias, special }: Format, exponent: number, mantissa: number, sticky: boolean): number {
  const biased = exponent + bias;
  if (biased >= special) return special << mantissaBits;
  // A subnormal result has fewer bits, down to none.
  const dropped = FLOAT32_BITS - mantissaBits + (biased < 1 ? 1 - biased : 0);
  if (dropped > FLOAT32_BITS + 2) return 0;
  const kept = mantissa >>> dropped;
  const rest = mantissa & ((1 << dropped) - 1);
  const half = 1 << (dropped - 1);
  const up = rest > half || (rest === half && (sticky || kept % 2 === 1));
  // The hidden bit raises the exponent by one, and so does a carry.
  return (biased < 1 ? kept : ((biased - 1) << mantissaBits) + kept) + (up ? 1 : 0);
}

function nan({ mantissaBits, special }: Format, highest20Bits: number): number {
  return (special << mantissaBits) | (1 << (mantissaBits - 1)) | (highest20Bits >>> (20 - mantissaBits));
}

function fromFloat32Bits(format: Format, bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const exponent = (bits >>> 23) & 0xff;
  const mantissa = bits & 0x7fffff;
  if (exponent === 0xff)
    return sign | (mantissa === 0 ? format.special << format.mantissaBits : nan(format, mantissa >>> 3));
  // A subnormal float32 has no hidden bit; it is below both formats' numbers, or (bfloat16) has the same exponent.
  if (exponent === 0) {
    if (format.bias !== 127) return sign;
    const kept = mantissa >>> 16;
    const rest = mantissa & 0xffff;
    return sign | (kept + (rest > 0x8000 || (rest === 0x8000 && kept % 2 === 1) ? 1 : 0));
  }
  return sign | rounded(format, exponent - 127, mantissa | 0x800000, false);
}

function fromFloat64Bits(format: Format, high: number, low: number): number {
  const sign = (high >>> 16) & 0x8000;
  const exponent = (high >>> 20) & 0x7ff;
  const top = high & 0xfffff;
  if (exponent === 0x7ff) {
    return sign | (top === 0 && low === 0 ? format.special << format.mantissaBits : nan(format, top));
  }
  if (exponent === 0) return sign; // far below both formats' numbers
  const mantissa = 0x800000 | (top << 3) | (low >>> 29);
  return sign | rounded(format, exponent - 1023, mantissa, (low & 0x1fffffff) !== 0);
}

/** The bits of the float32 that a float16 is. */
function float16ToFloat32Bits(bits: number): number {
  const sign = (bits & 0x8000) << 16;
  const exponent = (bits >>> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (mantissa === 0 ? 0 : 0x400000 | (mantissa << 13));
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (mantissa << 13);
  if (mantissa === 0) return sign;
  const shift = Math.clz32(mantissa) - 21; // brings the highest bit to the place of the hidden one
  return sign | ((113 - shift) << 23) | (((mantissa << shift) & 0x3ff) << 13);
}

function bfloat16ToFloat32Bits(bits: number): number {
  const isNaN = (bits & 0x7fff) > 0x7f80;
  return (isNaN ? bits | 0x40 : bits) << 16;
}

function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

/** The elements as float32, which hold those of both formats of 16 bits exactly. */
function widened(dtype: "float16" | "bfloat16", bits: Uint16Array): Float32Array {
  const values = new Float32Array(bits.length);
  const target = bitsOf(values);
  const widen = dtype === "float16" ? float16ToFloat32Bits : bfloat16ToFloat32Bits;
  bits.forEach((element, index) => {
    target[index] = widen(element);
  });
  return values;
}

function narrowed(format: Format, values: Float32Array | Float64Array): Uint16Array {
  const bits = new Uint16Array(values.length);
  if (values instanceof Float32Array) {
    bitsOf(values).forEach((element, index) => {
      bits[index] = fromFloat32Bits(format, element);
    });
  } else {
    const view = new DataView(values.buffer, values.byteOffset, values.byteLength);
    for (let index = 0; index < bits.length; index += 1) {
      bits[index] = fromFloat64Bits(format, view.getUint32(8 * index + 4, true), view.getUint32(8 * index, true));
    }
  }
  return bits;
}

type Converted = Elements[DType];

/** The elements in another type; a copy in any case. */
export function converted<E extends DType>(from: DType, elements: Elements[DType], to: E): Elements[E];
export function converted(from: DType, elements: Converted, to: DType): Converted {
  if (from === to) return elements.slice();
  const values =
    elements instanceof Uint16Array ? widened(from === "float16" ? "float16" : "bfloat16", elements) : elements;
  switch (to) {
    case "float32":
      return values instanceof Float32Array ? values : new Float32Array(values);
    case "float64":
      return new Float64Array(values);
    case "float16":
      return narrowed(FLOAT16, values);
    case "bfloat16":
      return narrowed(BFLOAT16, values);
  }
}

/** Numbers as elements of a type. */
export function rounds<D extends DType>(values: readonly number[], dtype: D): Elements[D] {
  const exact = new Float64Array(values);
  if (sizeOf(dtype) === 8) return elementsOf(dtype, new Uint8Array(exact.buffer));
  return converted("float64", exact, dtype);
}
