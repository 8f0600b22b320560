//! Norms of any order, by terms relative to the largest element.
//!
//! So no power overflows, and none that changes the sum underflows. The terms of a chunk, and their sum, are pairs of
//! float64; the sums of chunks and of tensors are added exactly, so that order does not matter. The norm is rounded
//! once.

use std::marker::PhantomData;

use evenkeel_exact::ExactSum;

use super::{
    Norms,
    largest::{Largest, larger},
    powers::{Tables, exp2, log2, log2_of_pair, normalized, round_times_power_of_two, times_power_of_two},
};
use crate::{
    Checkpoint, Element, Error, TensorRef,
    dtype::with_element,
    lanes::{BLOCK, DoubleDouble, Lanes},
    parallel::{CHUNK, chunk, fold, map},
    simd::{self, Kernel},
};

/// The norms of order `p`.
pub(super) fn norms(tensors: &[TensorRef<'_>], p: f64, checkpoint: &dyn Checkpoint) -> Result<Norms, Error> {
    let measure =
        |tensor: TensorRef<'_>| with_element!(tensor.dtype(), E => measure::<E>(tensor.data(), p, checkpoint));
    let measured = map(tensors.len(), &|index| measure(tensors[index]))?;
    let unit = measured.iter().map(|tensor| tensor.unit).fold(0.0, larger);
    let total = if Relative::is_number(unit) {
        let power = Power::new(unit, p);
        let units = measured.iter().filter(|tensor| tensor.unit > 0.0);
        Relative { unit, sum: exact_sum(units.map(|tensor| power.of(tensor.unit).times(tensor.sum))) }
    } else {
        Relative { unit, sum: DoubleDouble::from(0.0) }
    };
    let per_tensor = measured.iter().map(|tensor| tensor.norm(p)).collect();
    Ok(Norms { total: total.norm(p), per_tensor })
}

/// The largest element and the sum of powers, from which the norm follows.
struct Relative {
    /// The largest absolute value; NaN if an element is NaN.
    unit: f64,
    /// The sum of `(|x| / unit)^p`, if the unit is a number above 0.
    sum: DoubleDouble,
}

impl Relative {
    fn is_number(unit: f64) -> bool {
        unit > 0.0 && unit.is_finite()
    }

    /// `unit * sum^(1 / p)`, rounded.
    fn norm(&self, p: f64) -> f64 {
        /// An exponent beyond float64 for every unit: the largest float64 is less than 2^2098 times the smallest.
        const BEYOND: f64 = 2200.0;
        let &Self { unit, sum } = self;
        if unit.is_nan() {
            return f64::NAN; // the canonical one
        }
        // The root of 1 is 1. Its computed logarithm may not be 0, and division by a tiny order would enlarge the
        // error.
        if !Self::is_number(unit) || sum == DoubleDouble::from(1.0) {
            return unit;
        }
        let exponent = log2_of_pair(sum).normalized().over(p);
        if exponent.high > BEYOND {
            return f64::INFINITY;
        }
        let ((root, power), (mantissa, unit_power)) = (exp2(Tables::get(), exponent), normalized(unit));
        // `root` and `mantissa` are 1 or more.
        let power = power + unit_power;
        if power > f64::MAX_EXP {
            return f64::INFINITY;
        }
        round_times_power_of_two(root.times(DoubleDouble::from(mantissa)), power)
    }
}

fn measure<E: Element>(data: &[u8], p: f64, checkpoint: &dyn Checkpoint) -> Result<Relative, Error> {
    let len = CHUNK * E::DTYPE.size();
    let (chunks, chunk) = (data.len().div_ceil(len), |index| chunk(data, len, index));
    let add = |largest: &mut f64, index| {
        checkpoint.check()?;
        *largest = larger(*largest, simd::run(Largest { data: chunk(index), element: PhantomData::<E> }));
        Ok(())
    };
    let largest = fold(chunks, &|| 0.0, &add, &|a, b| *a = larger(*a, b))?;
    if !Relative::is_number(largest) {
        return Ok(Relative { unit: largest, sum: DoubleDouble::from(0.0) });
    }
    let power = Power::new(largest, p);
    let sums = map(chunks, &|index| {
        checkpoint.check()?;
        Ok(simd::run(Powers { data: chunk(index), power, element: PhantomData::<E> }))
    })?;
    Ok(Relative { unit: largest, sum: exact_sum(sums) })
}

/// The sum of pairs that are not negative, as a pair.
fn exact_sum(terms: impl IntoIterator<Item = DoubleDouble>) -> DoubleDouble {
    let mut sum = ExactSum::new();
    terms.into_iter().flat_map(|DoubleDouble { high, low }| [high, low]).for_each(|term| sum.add(term));
    let high = sum.to_f64();
    sum.add(-high);
    DoubleDouble { high, low: sum.to_f64() }
}

/// Powers of order `p` relative to a unit.
#[derive(Clone, Copy)]
struct Power {
    tables: &'static Tables,
    /// The binary logarithm of the unit.
    unit: DoubleDouble,
    p: f64,
}

impl Power {
    fn new(unit: f64, p: f64) -> Self {
        let tables = Tables::get();
        Self { tables, unit: log2(tables, unit), p }
    }

    /// `(x / unit)^p`, for a number above 0 and not above the unit.
    #[inline(always)]
    fn of(&self, x: f64) -> DoubleDouble {
        /// Terms below this power of two count as 0: 2^60 of them would not change a sum of 1 or more.
        const NOTHING: f64 = -900.0;
        let exponent = log2(self.tables, x).minus(self.unit).normalized().times(DoubleDouble::from(self.p));
        if exponent.high < NOTHING {
            return DoubleDouble::from(0.0);
        }
        let (power, by) = exp2(self.tables, exponent.normalized());
        DoubleDouble { high: times_power_of_two(power.high, by), low: times_power_of_two(power.low, by) }
    }
}

/// The sum of the powers of a chunk.
struct Powers<'a, E> {
    data: &'a [u8],
    power: Power,
    element: PhantomData<E>,
}

impl<E: Element> Kernel for Powers<'_, E> {
    type Output = DoubleDouble;

    #[inline(always)]
    fn run(self) -> DoubleDouble {
        let size = E::DTYPE.size();
        let (mut sum, mut rests) = (Lanes::new(), Lanes::new());
        let (mut values, mut lows) = ([0.0; BLOCK], [0.0; BLOCK]);
        for bytes in self.data.chunks(BLOCK * size) {
            let len = bytes.len() / size;
            let (values, lows) = (&mut values[..len], &mut lows[..len]);
            E::decode(bytes, values);
            for (value, low) in values.iter_mut().zip(&mut *lows) {
                let x = value.abs();
                DoubleDouble { high: *value, low: *low } =
                    if x > 0.0 { self.power.of(x) } else { DoubleDouble::from(0.0) };
            }
            sum.add_each(values);
            rests.add(lows);
        }
        sum.sum().plus(rests.sum()).normalized()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Tensor, Uninterrupted};

    #[test]
    fn a_nan_is_the_canonical_one() {
        let bytes = 0xFFC0_1234_u32.to_le_bytes().to_vec();
        let odd = Tensor::from_bytes(crate::DType::F32, vec![], bytes).expect("one element");
        let norms = norms(&[odd.view()], 3.0, &Uninterrupted).expect("nothing stops it");
        assert_eq!(norms.total.to_bits(), f64::NAN.to_bits());
        assert_eq!(norms.per_tensor[0].to_bits(), f64::NAN.to_bits());
    }
}
