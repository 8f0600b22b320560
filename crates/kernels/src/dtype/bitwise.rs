//! Operations on the bits of elements, as whole numbers: magnitudes have the same order as their bits, with infinity
//! above every number and NaN above infinity.

use super::Element;
use crate::half::{Bf16, F16};

/// Operations that need no arithmetic on the values of elements.
pub trait Bitwise: Sized {
    /// The biased exponents of the largest of these elements and of the smallest that is not zero; the latter may be
    /// too low by one.
    fn exponents(bytes: &[u8]) -> Exponents;

    /// The largest magnitude, NaN if there is one, 0 if there are no elements.
    fn largest(bytes: &[u8]) -> Self;

    /// How many elements have a larger magnitude than `threshold`; a NaN does not count.
    fn count_beyond(bytes: &[u8], threshold: Self) -> usize;

    /// Replaces each element of larger magnitude by `threshold`, or its negative if the element is negative.
    fn clamp(bytes: &mut [u8], threshold: Self);
}

/// The biased exponents of some elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exponents {
    /// That of the largest element; if not all are finite, the highest exponent of the dtype.
    pub largest: i32,
    /// That of the smallest element that is not zero; above every exponent if all are zero.
    pub smallest: i32,
}

macro_rules! bitwise {
    ($type:ty, $bits:ty, $from_bits:expr, $to_bits:expr) => {
        impl Bitwise for $type {
            #[inline(always)]
            fn exponents(bytes: &[u8]) -> Exponents {
                let (elements, _) = bytes.as_chunks();
                let (mut largest, mut smallest) = (0, <$bits>::MAX);
                for &element in elements {
                    let magnitude = <$bits>::from_le_bytes(element) & (<$bits>::MAX >> 1);
                    largest = largest.max(magnitude);
                    smallest = smallest.min(magnitude.wrapping_sub(1)); // of zero: the largest number
                }
                let exponent = |magnitude: $bits| (magnitude >> Self::MANTISSA) as i32;
                Exponents { largest: exponent(largest), smallest: exponent(smallest) }
            }

            #[inline(always)]
            fn largest(bytes: &[u8]) -> Self {
                let (elements, _) = bytes.as_chunks();
                let magnitudes = elements.iter().map(|&element| <$bits>::from_le_bytes(element) & (<$bits>::MAX >> 1));
                $from_bits(magnitudes.fold(0, <$bits>::max))
            }

            #[inline(always)]
            fn count_beyond(bytes: &[u8], threshold: Self) -> usize {
                let threshold = $to_bits(threshold) & (<$bits>::MAX >> 1);
                let (elements, _) = bytes.as_chunks();
                let is_beyond = |&element: &[u8; size_of::<$bits>()]| {
                    let magnitude = <$bits>::from_le_bytes(element) & (<$bits>::MAX >> 1);
                    (magnitude > threshold) & (magnitude <= $to_bits(<$type>::from_f64(f64::INFINITY)))
                };
                elements.iter().map(|element| usize::from(is_beyond(element))).sum()
            }

            #[inline(always)]
            fn clamp(bytes: &mut [u8], threshold: Self) {
                let threshold = $to_bits(threshold);
                let infinity = $to_bits(<$type>::from_f64(f64::INFINITY));
                let (elements, _) = bytes.as_chunks_mut();
                for element in elements {
                    let bits = <$bits>::from_le_bytes(*element);
                    let magnitude = bits & (<$bits>::MAX >> 1);
                    let is_beyond = (magnitude > threshold & (<$bits>::MAX >> 1)) & (magnitude <= infinity);
                    let clamped = (bits ^ magnitude) ^ threshold;
                    *element = <$bits>::to_le_bytes(if is_beyond { clamped } else { bits });
                }
            }
        }
    };
}

bitwise!(f32, u32, f32::from_bits, f32::to_bits);
bitwise!(f64, u64, f64::from_bits, f64::to_bits);
bitwise!(F16, u16, F16, |x: F16| x.0);
bitwise!(Bf16, u16, Bf16, |x: Bf16| x.0);

#[cfg(test)]
mod tests {
    use super::*;

    fn exponents<E: Element>(values: &[f64]) -> (i32, i32) {
        let mut bytes = vec![0; values.len() * E::DTYPE.size()];
        E::encode(values, &mut bytes);
        let Exponents { largest, smallest } = E::exponents(&bytes);
        (largest - E::BIAS, smallest - E::BIAS)
    }

    fn range<E: Element>() {
        assert_eq!(exponents::<E>(&[3.0, -0.75, 0.0, 1.5]), (1, -1));
        assert_eq!(exponents::<E>(&[-1.5]), (0, 0));
        // The exponent of a power of two may be too low by one.
        assert_eq!(exponents::<E>(&[1.0]), (0, -1));
        assert!(exponents::<E>(&[0.0, -0.0]).1 > E::BIAS);
        for special in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(exponents::<E>(&[1.5, special]), (E::BIAS + 1, 0));
        }
    }

    #[test]
    fn exponents_are_those_of_the_largest_and_the_smallest() {
        range::<f32>();
        range::<f64>();
        range::<F16>();
        range::<Bf16>();
    }

    fn encoded<E: Element>(values: &[f64]) -> Vec<u8> {
        let mut bytes = vec![0; values.len() * E::DTYPE.size()];
        E::encode(values, &mut bytes);
        bytes
    }

    /// Compares with arithmetic on each element.
    fn magnitudes<E: Element>() {
        let values =
            [0.0, -0.0, 1.5, -1.5, 1.0, -7.0, 1e-40, -6e-8, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -f64::NAN];
        for len in 0..=values.len() {
            let values = &values[..len];
            let largest = E::largest(&encoded::<E>(values)).to_f64();
            let expected =
                values.iter().fold(0.0f64, |a, x| if x.is_nan() || a.is_nan() { f64::NAN } else { a.max(x.abs()) });
            assert!(largest == E::from_f64(expected).to_f64() || largest.is_nan() && expected.is_nan(), "{values:?}");
        }
        for threshold in [0.0, -0.0, 1e-40, 1.0, 1.5, 6.5, 7.0, f64::INFINITY] {
            let mut bytes = encoded::<E>(&values);
            // A NaN keeps its bits, whichever they are.
            bytes[10 * E::DTYPE.size()] |= 1;
            let before: Vec<E> = bytes.chunks(E::DTYPE.size()).map(E::from_le_bytes).collect();
            let limit = E::from_f64(threshold);
            let expected = before.iter().map(|&x| match x.to_f64() {
                number if number > limit.to_f64() => limit,
                number if number < -limit.to_f64() => E::from_f64(-limit.to_f64()),
                _ => x,
            });
            let expected: Vec<u8> = expected.flat_map(E::to_le_bytes).collect();
            let beyond = before.iter().filter(|x| x.to_f64().abs() > limit.to_f64()).count();
            assert_eq!(E::count_beyond(&bytes, limit), beyond, "{threshold}");
            E::clamp(&mut bytes, limit);
            assert_eq!(bytes, expected, "{threshold}");
        }
    }

    #[test]
    fn magnitudes_are_compared_as_numbers_are() {
        magnitudes::<f32>();
        magnitudes::<f64>();
        magnitudes::<F16>();
        magnitudes::<Bf16>();
    }
}
