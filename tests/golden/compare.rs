//! The comparison of tensors, element by element, within a tolerance.

use std::fmt;

use half::{bf16, f16};
use safetensors::Dtype;

use crate::manifest::Tolerance;

/// The elements that are too far from the expected ones.
#[derive(Debug, PartialEq)]
pub(crate) struct Mismatch {
    wrong: usize,
    of: usize,
    worst: Element,
}

/// One wrong element.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Element {
    index: usize,
    got: f64,
    expected: f64,
    ulps: u64,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wrong, of, worst: Element { index, got, expected, ulps } } = self;
        write!(f, "{wrong} of {of} elements are off; the worst, [{index}], is {got:e} and not {expected:e}")?;
        if got.is_finite() && expected.is_finite() { write!(f, ", {ulps} ulp away") } else { Ok(()) }
    }
}

/// Compares little-endian elements of one dtype.
///
/// # Errors
/// The elements beyond the tolerance, if there are any.
pub(crate) fn compare(dtype: Dtype, got: &[u8], expected: &[u8], tolerance: Tolerance) -> Result<(), Mismatch> {
    let size = dtype.bitsize() / 8;
    let elements = got.chunks_exact(size).zip(expected.chunks_exact(size)).enumerate();
    let wrong: Vec<Element> = elements
        .filter_map(|(index, (got, expected))| {
            let ulps = steps(dtype, got).abs_diff(steps(dtype, expected));
            let element = Element { index, got: value(dtype, got), expected: value(dtype, expected), ulps };
            (got != expected && !element.within(tolerance)).then_some(element)
        })
        .collect();
    match wrong.iter().max_by(|a, b| a.ulps.cmp(&b.ulps)) {
        Some(&worst) => Err(Mismatch { wrong: wrong.len(), of: got.len() / size, worst }),
        None => Ok(()),
    }
}

impl Element {
    fn within(&self, tolerance: Tolerance) -> bool {
        let &Self { index: _, got, expected, ulps } = self;
        let Tolerance { ulp, atol, rtol, signed_zeros } = tolerance;
        if ulp.is_none() && atol.is_none() && rtol.is_none() {
            return false; // the bytes differ
        }
        if got.is_nan() || expected.is_nan() {
            return got.is_nan() && expected.is_nan();
        }
        if got.is_infinite() || expected.is_infinite() {
            return false; // an infinity equals itself alone, though its bits are one ulp from the largest finite number's
        }
        if signed_zeros && got == 0.0 && expected == 0.0 {
            return false;
        }
        ulps <= ulp.unwrap_or(0) || (got - expected).abs() <= atol.unwrap_or(0.0) + rtol.unwrap_or(0.0) * expected.abs()
    }
}

/// Compares two numbers of the wire.
pub(crate) fn close(got: f64, expected: f64, rtol: f64) -> bool {
    got == expected || got.is_nan() && expected.is_nan() || (got - expected).abs() <= rtol * expected.abs()
}

fn value(dtype: Dtype, element: &[u8]) -> f64 {
    match *element {
        [byte] => f64::from(byte),
        [a, b] if dtype == Dtype::BF16 => bf16::from_le_bytes([a, b]).to_f64(),
        [a, b] => f16::from_le_bytes([a, b]).to_f64(),
        [a, b, c, d] => f64::from(f32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => panic!("{dtype:?} is not a dtype of the vectors"),
    }
}

/// The number of representable values between an element and zero, with its sign.
fn steps(dtype: Dtype, element: &[u8]) -> i64 {
    let bits = element.iter().rev().fold(0, |bits: u64, &byte| bits << 8 | u64::from(byte));
    if dtype == Dtype::U8 {
        return bits as i64;
    }
    let sign = 1 << (dtype.bitsize() - 1);
    let magnitude = (bits & (sign - 1)) as i64;
    if bits & sign == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ULP: Tolerance = Tolerance { ulp: Some(1), atol: None, rtol: None, signed_zeros: false };
    const EXACT: Tolerance = Tolerance { ulp: None, atol: None, rtol: None, signed_zeros: false };

    fn f32s(got: f32, expected: f32, tolerance: Tolerance) -> bool {
        compare(Dtype::F32, &got.to_le_bytes(), &expected.to_le_bytes(), tolerance).is_ok()
    }

    #[test]
    fn one_ulp_passes_and_two_do_not() {
        let next = 1.0_f32.next_up();
        assert!(f32s(next, 1.0, ULP));
        assert!(!f32s(next.next_up(), 1.0, ULP));
        assert!(!f32s(next, 1.0, EXACT));
        let (half, above) = (f16::from_f32(0.1), f16::from_bits(f16::from_f32(0.1).to_bits() + 2));
        assert!(compare(Dtype::F16, &above.to_le_bytes(), &half.to_le_bytes(), ULP).is_err());
        assert!(f32s(-f32::from_bits(1), 0.0, ULP) && !f32s(-f32::from_bits(1), f32::from_bits(1), ULP));
    }

    #[test]
    fn an_absolute_tolerance_covers_cancellation() {
        let tolerance = Tolerance { atol: Some(1e-6), ..ULP };
        assert!(f32s(9e-7, 0.0, tolerance) && !f32s(2e-6, 0.0, tolerance));
        assert!(f32s(1.0, 1.01, Tolerance { rtol: Some(0.01), ..EXACT }));
        assert!(!f32s(1.0, 1.02, Tolerance { rtol: Some(0.01), ..EXACT }));
    }

    #[test]
    fn special_values_are_themselves() {
        assert!(f32s(f32::NAN, -f32::NAN, ULP) && !f32s(f32::NAN, 1.0, ULP) && !f32s(1.0, f32::NAN, ULP));
        assert!(!f32s(f32::MAX, f32::INFINITY, ULP) && f32s(f32::INFINITY, f32::INFINITY, ULP));
        assert!(!f32s(f32::NEG_INFINITY, f32::INFINITY, Tolerance { atol: Some(f64::INFINITY), ..ULP }));
        assert!(f32s(-0.0, 0.0, ULP) && !f32s(-0.0, 0.0, Tolerance { signed_zeros: true, ..ULP }));
        assert!(close(f64::NAN, f64::NAN, 0.0) && !close(f64::NAN, 1.0, 1.0) && !close(1.0, f64::NAN, 1.0));
        assert!(close(f64::INFINITY, f64::INFINITY, 0.0) && !close(1.0, 2.0, 0.1));
    }

    #[test]
    fn the_worst_element_is_named() {
        let bytes = |elements: [f64; 3]| elements.map(f64::to_le_bytes).concat();
        let (got, expected) = (bytes([1.0, 2.5, 3.1]), bytes([1.0, 2.0, 3.0]));
        let mismatch = compare(Dtype::F64, &got, &expected, ULP).expect_err("two elements are off");
        assert_eq!((mismatch.wrong, mismatch.of, mismatch.worst.index), (2, 3, 1));
        assert!(mismatch.to_string().contains("[1], is 2.5e0 and not 2e0"), "{mismatch}");
    }
}
