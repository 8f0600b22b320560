//! Mean, standard deviation and norm of a tensor for the report, merged from those of its pieces.

use evenkeel_client::{
    DType,
    half::{bf16, f16, slice::HalfFloatSliceExt as _},
};

/// Elements that are summed together, in several passes: they stay in a core's cache.
const BLOCK: usize = 4096;
/// Sums are taken in so many lanes, which the compiler vectorizes.
const LANES: usize = 8;

/// Mean, standard deviation and norm of some elements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Summary {
    count: u64,
    /// The unit of the sums: a power of two, which is 1 unless the squares of elements would leave the range of
    /// float64.
    unit: f64,
    /// In units.
    sum: f64,
    /// The sum of the squared distances from the mean, in squares of units.
    deviations: f64,
    /// The sum of the squares, in squares of units.
    squares: f64,
}

impl Default for Summary {
    fn default() -> Self {
        Self { count: 0, unit: 1.0, sum: 0.0, deviations: 0.0, squares: 0.0 }
    }
}

impl Summary {
    /// Of elements in little-endian bytes.
    pub(super) fn of(dtype: DType, bytes: &[u8]) -> Self {
        let mut all = Self::default();
        let mut values = [0.0; BLOCK];
        for block in bytes.chunks(BLOCK * dtype.size()) {
            all.merge(&Self::of_block(decode(dtype, block, &mut values)));
        }
        all
    }

    fn of_block(values: &mut [f64]) -> Self {
        let largest = values.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
        let unit = if largest == 0.0 || !largest.is_finite() || (1e-100..1e100).contains(&largest) {
            1.0
        } else {
            // The power of two at or below it: dividing by that rounds nothing.
            f64::from_bits(largest.to_bits() & 0x7ff0_0000_0000_0000).max(f64::MIN_POSITIVE)
        };
        if unit != 1.0 {
            values.iter_mut().for_each(|x| *x /= unit);
        }
        let sum = lanes(values, |x| x);
        let mean = sum / values.len() as f64;
        let deviations = lanes(values, |x| (x - mean) * (x - mean));
        let squares = lanes(values, |x| x * x);
        Self { count: values.len() as u64, unit, sum, deviations, squares }
    }

    /// Adds other elements. The deviations are merged by the formula of Chan, Golub and LeVeque (1979).
    pub(super) fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        // Zeros have any unit; the unit of tiny elements is kept, since in units of 1 their squares would vanish.
        let unit = match (self.squares == 0.0, other.squares == 0.0) {
            (true, _) => other.unit,
            (_, true) => self.unit,
            (false, false) => self.unit.max(other.unit),
        };
        let (a, b) = (self.in_units(unit), other.in_units(unit));
        let (count_a, count_b) = (a.count as f64, b.count as f64);
        let distance = b.sum / count_b - a.sum / count_a;
        *self = Self {
            count: a.count + b.count,
            unit,
            sum: a.sum + b.sum,
            deviations: a.deviations + b.deviations + distance * distance * (count_a * count_b / (count_a + count_b)),
            squares: a.squares + b.squares,
        };
    }

    fn in_units(&self, unit: f64) -> Self {
        if self.squares == 0.0 {
            return Self { unit, ..*self };
        }
        let ratio = self.unit / unit;
        let square = ratio * ratio;
        Self {
            unit,
            sum: self.sum * ratio,
            deviations: self.deviations * square,
            squares: self.squares * square,
            count: self.count,
        }
    }

    /// NaN without elements.
    pub(super) fn mean(&self) -> f64 {
        self.sum / self.count as f64 * self.unit
    }

    /// Of the population. NaN without elements.
    pub(super) fn std(&self) -> f64 {
        self.unit * (self.deviations / self.count as f64).sqrt()
    }

    /// The Euclidean norm.
    pub(super) fn norm(&self) -> f64 {
        self.unit * self.squares.sqrt()
    }
}

/// The sum of `term` over the values. It keeps a NaN, which `f64::max` drops.
fn lanes(values: &[f64], term: impl Fn(f64) -> f64) -> f64 {
    let mut sums = [0.0; LANES];
    let (whole, rest) = values.as_chunks::<LANES>();
    for chunk in whole {
        for (sum, &x) in sums.iter_mut().zip(chunk) {
            *sum += term(x);
        }
    }
    for (sum, &x) in sums.iter_mut().zip(rest) {
        *sum += term(x);
    }
    sums.iter().sum()
}

/// The values of at most [`BLOCK`] elements.
fn decode<'a>(dtype: DType, bytes: &[u8], values: &'a mut [f64; BLOCK]) -> &'a mut [f64] {
    let values = &mut values[..bytes.len() / dtype.size()];
    match dtype {
        DType::F32 => {
            for (value, &element) in values.iter_mut().zip(bytes.as_chunks().0) {
                *value = f32::from_le_bytes(element).into();
            }
        }
        DType::F64 => {
            for (value, &element) in values.iter_mut().zip(bytes.as_chunks().0) {
                *value = f64::from_le_bytes(element);
            }
        }
        DType::F16 => {
            let mut halves = [f16::ZERO; BLOCK];
            let mut singles = [0.0; BLOCK];
            let (halves, singles) = (&mut halves[..values.len()], &mut singles[..values.len()]);
            for (half, &element) in halves.iter_mut().zip(bytes.as_chunks().0) {
                *half = f16::from_le_bytes(element);
            }
            // Many at once are converted by the CPU's own instruction.
            halves.convert_to_f32_slice(singles);
            values.iter_mut().zip(singles).for_each(|(value, single)| *value = (*single).into());
        }
        DType::Bf16 => {
            for (value, &element) in values.iter_mut().zip(bytes.as_chunks().0) {
                *value = bf16::from_le_bytes(element).to_f64();
            }
        }
    }
    values
}

/// The number of elements that differ; two NaN do not. Both have the same number of bytes.
pub(super) fn changed(dtype: DType, before: &[u8], after: &[u8]) -> u64 {
    let (mut old, mut new) = ([0.0; BLOCK], [0.0; BLOCK]);
    let size = BLOCK * dtype.size();
    let count = |(before, after): (&[u8], &[u8])| {
        if before == after {
            return 0;
        }
        let (before, after) = (decode(dtype, before, &mut old), decode(dtype, after, &mut new));
        let differs = |(before, after): (&f64, &f64)| before != after && !(before.is_nan() && after.is_nan());
        before.iter().zip(after.iter()).map(|(a, b)| u64::from(differs((a, b)))).sum::<u64>()
    };
    before.chunks(size).zip(after.chunks(size)).map(count).sum()
}

/// `part` of `whole`; or `of_nothing`, where there are no elements.
pub(super) fn share(part: u64, whole: usize, of_nothing: f64) -> f64 {
    if whole == 0 { of_nothing } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> [f64; 3] {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let whole = Summary::of(DType::F64, &bytes);
        // In pieces, however they are cut, it is the same but for rounding.
        for cut in [1, values.len() / 2, values.len().saturating_sub(1)] {
            let (first, last) = bytes.split_at(bytes.len().min(8 * cut));
            let mut both = Summary::of(DType::F64, first);
            both.merge(&Summary::of(DType::F64, last));
            for (a, b) in [(both.mean(), whole.mean()), (both.std(), whole.std()), (both.norm(), whole.norm())] {
                assert!(a == b || (a - b).abs() <= 1e-12 * b.abs() || a.is_nan() && b.is_nan(), "{values:?}: {a}, {b}");
            }
        }
        [whole.mean(), whole.std(), whole.norm()]
    }

    #[track_caller]
    fn close(values: &[f64], expected: [f64; 3]) {
        let given = of(values);
        for (given, expected) in given.iter().zip(expected) {
            assert!((given - expected).abs() <= 1e-14 * expected.abs(), "{given} is not {expected}");
        }
    }

    #[test]
    fn plain_numbers() {
        close(&[1.0, 2.0, 3.0, 6.0], [3.0, 3.5_f64.sqrt(), 50_f64.sqrt()]);
        close(&[4.0; 10_000], [4.0, 0.0, 400.0]);
        let far: Vec<f64> = (0..20_000).map(|i| 1e9 + f64::from(i % 2)).collect();
        assert!((of(&far)[1] - 0.5).abs() < 1e-9);
    }

    #[test]
    fn huge_and_tiny_numbers_neither_overflow_nor_vanish() {
        close(&[3e200, -4e200], [-5e199, 3.5e200, 5e200]);
        close(&[3e-200, -4e-200], [-5e-201, 3.5e-200, 5e-200]);
        close(&[3e-320, 0.0], [f64::from_bits(3036), f64::from_bits(3036), f64::from_bits(6072)]);
        close(&[3e300, 4e-300], [1.5e300, 1.5e300, 3e300]);
        assert_eq!(of(&[f64::MAX, f64::MAX])[1], 0.0);
    }

    #[test]
    fn what_is_not_a_number_stays_none() {
        assert!(of(&[1.0, f64::NAN, 2.0]).iter().all(|x| x.is_nan()));
        let [mean, _, norm] = of(&[1.0, f64::INFINITY]);
        assert_eq!([mean, norm], [f64::INFINITY; 2]);
        let [mean, std, norm] = of(&[]);
        assert!(mean.is_nan() && std.is_nan() && norm == 0.0);
    }

    #[test]
    fn every_type_is_decoded() {
        for (dtype, bytes) in [
            (DType::F32, [1.5_f32, -2.0].map(f32::to_le_bytes).concat()),
            (DType::F64, [1.5_f64, -2.0].map(f64::to_le_bytes).concat()),
            (DType::F16, [1.5, -2.0].map(|x| f16::from_f32(x).to_le_bytes()).concat()),
            (DType::Bf16, [1.5, -2.0].map(|x| bf16::from_f32(x).to_le_bytes()).concat()),
        ] {
            let summary = Summary::of(dtype, &bytes);
            assert_eq!([summary.mean(), summary.std(), summary.norm()], [-0.25, 1.75, 2.5], "{dtype}");
        }
    }

    #[test]
    fn shares() {
        let bytes = |values: [f32; 4]| values.map(f32::to_le_bytes).concat();
        let before = bytes([0.0, 1.0, f32::NAN, 4.0]);
        assert_eq!(changed(DType::F32, &before, &bytes([-0.0, 0.5, -f32::NAN, f32::NAN])), 2);
        assert_eq!(share(2, 4, 0.0), 0.5);
        assert_eq!(share(0, 0, 1.0), 1.0);
    }
}
