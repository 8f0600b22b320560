//! Errors in units of the last place.

use evenkeel_kernels::{DType, Tensor, decode, encode};
use proptest::prelude::*;

use super::big::Big;

/// The distance of neighbouring numbers of the dtype at magnitude `x`.
pub(crate) fn ulp(dtype: DType, x: f64) -> f64 {
    let (digits, smallest) = match dtype {
        DType::F32 => (23, -149),
        DType::F64 => (52, -1074),
        DType::F16 => (10, -24),
        DType::Bf16 => (7, -133),
    };
    let exponent = (x.to_bits() >> 52 & 0x7FF) as i32 - 1023; // subnormal numbers have -1023, which is below all that count
    let last = (exponent - digits).max(smallest);
    if last < -1022 { f64::from_bits(1 << (last + 1074)) } else { 2f64.powi(last) }
}

/// `x`, rounded to the dtype.
pub(crate) fn rounded(dtype: DType, x: f64) -> f64 {
    let mut bytes = [0; 8];
    encode(dtype, &[x], &mut bytes[..dtype.size()]);
    let mut value = [0.0];
    decode(dtype, &bytes[..dtype.size()], &mut value);
    value[0]
}

/// The exact value of a result.
#[derive(Clone, Debug)]
pub(crate) struct Exact {
    pub(crate) value: Big,
    /// The magnitude of the largest of the terms that were added up to it, or of all the terms of a sum; 0 if nothing
    /// cancels.
    pub(crate) term: f64,
}

impl From<Big> for Exact {
    fn from(value: Big) -> Self {
        Self { value, term: 0.0 }
    }
}

/// How far off results may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// In units of the last place.
    pub(crate) ulps: f64,
    /// The part of the largest term that a result is taken for, if terms cancel to less.
    pub(crate) cancelled: f64,
}

impl Limit {
    /// The limit for results in the input's dtype. Results that are computed in float64 and rounded once are half an
    /// ulp off, unless terms cancel to 2^-16 of their size. Float64 results are computed in twice the precision, of
    /// which offsets of a million spreads take a part; sets whose elements differ only in their last bits are some two
    /// ulp off.
    pub(crate) fn of(dtype: DType) -> Self {
        match dtype {
            DType::F32 | DType::F16 | DType::Bf16 => Self { ulps: 0.51, cancelled: 2f64.powi(-16) },
            DType::F64 => Self { ulps: 4.0, cancelled: 2f64.powi(-10) },
        }
    }

    /// The limit for float64 results that are not computed in twice the precision: in ulp of the largest term.
    pub(crate) const FLOAT64: Self = Self { ulps: 4.0, cancelled: 1.0 };
}

impl Exact {
    /// The error of `got`, in units of the last place of the exact value or of `cancelled` times the largest term. Beyond
    /// the largest number of the dtype the right answer is infinity.
    pub(crate) fn error(&self, dtype: DType, got: f64, cancelled: f64) -> f64 {
        let nearest = self.value.to_f64();
        let beyond = |x: f64| rounded(dtype, x).is_infinite();
        if got.is_infinite() || beyond(nearest) {
            // Next to the largest number either may be right, and so it is where terms cancel to something near it.
            let slack = 1e-14 * nearest.abs().max(self.term);
            let towards = nearest * 1f64.copysign(got) + slack;
            let maybe_beyond = got.is_infinite() && towards > 0.0 && beyond(towards);
            let maybe_within = got.is_finite() && !beyond((nearest.abs() - slack).max(0.0));
            return if maybe_beyond || maybe_within { 0.0 } else { f64::INFINITY };
        }
        if got.is_nan() {
            return f64::INFINITY;
        }
        (&Big::from(got) - &self.value).to_f64().abs() / ulp(dtype, nearest.abs().max(self.term * cancelled))
    }
}

/// Checks that every element is within a limit.
pub(crate) fn within(limit: Limit, what: &str, got: &Tensor, exact: &[Exact]) -> Result<(), TestCaseError> {
    let dtype = got.dtype();
    let values = got.view().to_f64();
    prop_assert_eq!(values.len(), exact.len(), "{}", what);
    for (index, (got, exact)) in values.into_iter().zip(exact).enumerate() {
        let error = exact.error(dtype, got, limit.cancelled);
        prop_assert!(
            error <= limit.ulps,
            "{what}[{index}] is {error} ulp off: got {got:e}, exact {:e}, largest term {:e}, {dtype}",
            exact.value.to_f64(),
            exact.term
        );
    }
    Ok(())
}
