//! Mean and variance of one set, in one pass over its elements where that is accurate enough.

use super::super::{denominator::Denominator, mean};
use crate::{
    dtype::Exponents,
    lanes::{BLOCK, DoubleDouble, LANES, Lanes},
    parallel::CHUNK,
};

/// The statistics of a set, as [`Statistics`](super::Statistics) has them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moments {
    pub(super) mean: f64,
    pub(super) tail: f64,
    pub(super) var: f64,
    pub(super) rstd: f64,
}

/// The bytes of a float32.
pub(super) type Bytes = [u8; 4];

impl Moments {
    /// The moments of float32 elements: at least one, and not more than a chunk.
    #[inline(always)]
    pub(super) fn of(is_centred: bool, elements: &[Bytes], denominator: Denominator) -> Self {
        let (mean, var) = if is_centred {
            centred(elements)
        } else {
            (DoubleDouble::from(0.0), sum_of_squares(elements, 0.0) / denominator.share)
        };
        Self::new(mean, var, denominator)
    }

    /// The moments with centring, in a function of their own, so that the compiler does not merge the loops with
    /// others.
    #[inline(always)]
    pub(super) fn centred(elements: &[Bytes], denominator: Denominator) -> Self {
        let (mean, var) = centred(elements);
        Self::new(mean, var, denominator)
    }

    /// The moments without centring; blocks are read two at a time.
    #[inline(always)]
    pub(super) fn uncentred<const FUSED: bool>(elements: &[Bytes], denominator: Denominator) -> Self {
        let squares = sum_of_own_squares::<FUSED>(elements) / denominator.share;
        Self::new(DoubleDouble::from(0.0), squares, denominator)
    }

    #[inline(always)]
    pub(super) fn new(mean: DoubleDouble, var: f64, denominator: Denominator) -> Self {
        Self { mean: mean.high, tail: mean.low, var, rstd: denominator.reciprocal(var) }
    }
}

#[inline(always)]
pub(super) fn number(bytes: Bytes) -> f64 {
    f64::from(f32::from_le_bytes(bytes))
}

/// The mean and the biased variance.
///
/// The squares are those of the differences from the first element, which is known before the mean is. Their mean
/// exceeds the variance by the square of the mean of the differences. If that is so much larger than the variance that
/// its rounding errors count, the squares are added once more, as those of deviations from the mean.
#[inline(always)]
fn centred(elements: &[Bytes]) -> (DoubleDouble, f64) {
    const TOO_FAR: f64 = 64.0;
    let n = elements.len() as f64;
    let origin = number(elements[0]);
    let Pass { sum, squares, is_exact } = one_pass(elements, origin);
    let mean = mean::of_sum(sum, n);
    let shift = (mean.high - origin) + mean.low;
    let var = squares / n - shift * shift;
    let var = if shift * shift > TOO_FAR * var {
        // The deviations are from the mean without its tail, so each is too large by the tail.
        sum_of_squares(elements, mean.high) / n - mean.low * mean.low
    } else {
        var
    };
    let var = if var < 0.0 { 0.0 } else { var }; // `f64::max` would make 0 of NaN
    (if is_exact { mean } else { settled(mean, var, elements) }, var)
}

/// `mean`, or the exact mean if `mean` is not certain.
///
/// Not inlined, for the same reason as [`Lanes::sum`].
#[inline(never)]
fn settled(mean: DoubleDouble, var: f64, elements: &[Bytes]) -> DoubleDouble {
    if mean::is_certain::<f32>(mean, var, TERMS) {
        return mean;
    }
    mean::exact(elements.iter().copied().map(number), elements.len()).unwrap_or(mean)
}

/// The most terms that an accumulator takes.
const TERMS: usize = CHUNK / LANES;

/// The sum of the elements, and that of the squares of their differences from an origin.
struct Pass {
    sum: DoubleDouble,
    squares: f64,
    /// Whether the sum is exact. May be false for an exact sum.
    is_exact: bool,
}

#[inline(always)]
fn one_pass(elements: &[Bytes], origin: f64) -> Pass {
    let (mut sums, mut squares) = (Lanes::new(), Lanes::new());
    let mut magnitudes = Magnitudes::new();
    for elements in elements.chunks(BLOCK) {
        let (mut block, mut block_squares) = ([0.0; LANES], [0.0; LANES]);
        let (whole, rest) = elements.as_chunks::<LANES>();
        for elements in whole {
            for lane in 0..LANES {
                let x = number(elements[lane]);
                block[lane] += x;
                block_squares[lane] += (x - origin) * (x - origin);
            }
            magnitudes.add(elements);
        }
        if !rest.is_empty() {
            let Rest { elements, differences } = Rest::new(rest, origin);
            for lane in 0..LANES {
                block[lane] += number(elements[lane]);
                block_squares[lane] += differences[lane] * differences[lane];
            }
            magnitudes.add(&elements);
        }
        sums.add_plainly(block); // used only where it is exact
        squares.fold(block_squares);
    }
    let reach = magnitudes.reach();
    let (sum, is_exact) = if reach.holds(elements.len()) {
        (DoubleDouble::from(sums.plain_total()), true)
    } else if reach.holds(elements.len().div_ceil(LANES)) {
        (sums.sum(), true)
    } else {
        (sum_of_each(elements), reach.is_held(elements.len()))
    };
    Pass { sum, squares: squares.plain_total(), is_exact }
}

/// Elements that fill no lanes, followed by zeros, and their differences from an origin, followed by zeros.
struct Rest {
    elements: [Bytes; LANES],
    differences: [f64; LANES],
}

impl Rest {
    /// Not inlined, for the same reason as [`Lanes::sum`].
    #[inline(never)]
    fn new(rest: &[Bytes], origin: f64) -> Self {
        let (mut elements, mut differences) = ([[0; 4]; LANES], [0.0; LANES]);
        for (lane, &element) in rest.iter().enumerate() {
            elements[lane] = element;
            differences[lane] = number(element) - origin;
        }
        Self { elements, differences }
    }
}

/// The sum of elements that span too many powers of two for float64 alone.
#[inline(never)]
fn sum_of_each(elements: &[Bytes]) -> DoubleDouble {
    let mut lanes = Lanes::new();
    let (whole, rest) = elements.as_flattened().as_chunks::<{ BLOCK * size_of::<f32>() }>();
    whole.iter().for_each(|elements| lanes.add_elements::<f32>(elements));
    let (rest, _) = rest.as_chunks();
    let mut block = [0.0; BLOCK];
    block.iter_mut().zip(rest).for_each(|(x, &bytes)| *x = number(bytes));
    lanes.add_each(&block[..rest.len()]);
    lanes.sum()
}

/// The sum of the squares. The squares are exact, so a fused addition gives the same bits. Two blocks at a time have as
/// many independent additions as the processor can have in flight.
#[inline(always)]
fn sum_of_own_squares<const FUSED: bool>(elements: &[Bytes]) -> f64 {
    let add = |sum: &mut f64, element: Bytes| {
        let x = number(element);
        *sum = if FUSED { x.mul_add(x, *sum) } else { *sum + x * x };
    };
    let mut squares = Lanes::new();
    let (pairs, rest) = elements.as_chunks::<{ 2 * BLOCK }>();
    for pair in pairs {
        let mut blocks = [[0.0; LANES]; 2];
        let (first, second) = pair.split_at(BLOCK);
        for (first, second) in first.as_chunks::<LANES>().0.iter().zip(second.as_chunks::<LANES>().0) {
            for lane in 0..LANES {
                add(&mut blocks[0][lane], first[lane]);
                add(&mut blocks[1][lane], second[lane]);
            }
        }
        blocks.into_iter().for_each(|block| squares.fold(block));
    }
    for elements in rest.chunks(BLOCK) {
        let mut block = [0.0; LANES];
        let (whole, rest) = elements.as_chunks::<LANES>();
        for elements in whole {
            for lane in 0..LANES {
                add(&mut block[lane], elements[lane]);
            }
        }
        for (lane, &element) in block.iter_mut().zip(rest) {
            add(lane, element);
        }
        squares.fold(block);
    }
    squares.plain_total()
}

/// The sum of the squares of the differences from `origin`.
#[inline(always)]
fn sum_of_squares(elements: &[Bytes], origin: f64) -> f64 {
    let mut squares = Lanes::new();
    for elements in elements.chunks(BLOCK) {
        let mut block = [0.0; LANES];
        let (whole, rest) = elements.as_chunks::<LANES>();
        for elements in whole {
            for lane in 0..LANES {
                let difference = number(elements[lane]) - origin;
                block[lane] += difference * difference;
            }
        }
        for (lane, &element) in block.iter_mut().zip(rest) {
            let difference = number(element) - origin;
            *lane += difference * difference;
        }
        squares.fold(block);
    }
    squares.plain_total()
}

/// The largest magnitude of elements, and the smallest that is not zero, less one: as bits, lane by lane.
struct Magnitudes {
    largest: [u32; LANES],
    smallest: [u32; LANES],
}

impl Magnitudes {
    fn new() -> Self {
        Self { largest: [0; LANES], smallest: [u32::MAX; LANES] }
    }

    #[inline(always)]
    fn add(&mut self, elements: &[Bytes; LANES]) {
        for (lane, &element) in elements.iter().enumerate() {
            let magnitude = u32::from_le_bytes(element) & (u32::MAX >> 1);
            self.largest[lane] = self.largest[lane].max(magnitude);
            self.smallest[lane] = self.smallest[lane].min(magnitude.wrapping_sub(1)); // of zero: the largest number
        }
    }

    /// Not inlined, for the same reason as [`Lanes::sum`].
    #[inline(never)]
    fn reach(&self) -> Reach {
        const BEHIND_THE_POINT: u32 = f32::MANTISSA_DIGITS - 1;
        let largest = self.largest.iter().fold(0, |largest, &lane| largest.max(lane));
        let smallest = self.smallest.iter().fold(u32::MAX, |smallest, &lane| smallest.min(lane));
        Reach {
            finite: largest < f32::INFINITY.to_bits(),
            powers: (largest >> BEHIND_THE_POINT).saturating_sub(smallest >> BEHIND_THE_POINT),
        }
    }
}

/// The distance between the exponents of some elements, or one more.
struct Reach {
    finite: bool,
    powers: u32,
}

impl Reach {
    /// Whether plain additions of so many of them are exact: they are multiples of one unit, and the sums fit float64's
    /// 53 bits of it.
    #[inline(always)]
    fn holds(&self, terms: usize) -> bool {
        let bits = f32::MANTISSA_DIGITS + self.powers + terms.next_power_of_two().ilog2();
        self.finite && bits <= f64::MANTISSA_DIGITS
    }

    /// Whether a pair holds the sum of so many of them.
    #[inline(always)]
    fn is_held(&self, elements: usize) -> bool {
        let exponents = Exponents { largest: self.powers as i32, smallest: 0 };
        self.finite && mean::is_exact::<f32>(exponents, elements, TERMS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `len` elements, all but one of which have 24 bits from 2^0 on, and that one from 2^-power on.
    fn elements(len: usize, power: i32) -> Vec<Bytes> {
        let mut elements = vec![(2.0 - f32::EPSILON).to_le_bytes(); len];
        elements[len / 2] = ((1.0 + f32::EPSILON) / 2f32.powi(power)).to_le_bytes();
        elements
    }

    #[test]
    fn plain_sums_are_those_that_lose_nothing() {
        for len in [1, 16, 17, 256, 257, 1000, 1024, 16_384] {
            for power in 0..60 {
                let elements = elements(len, power);
                let got = one_pass(&elements, 1.0).sum.normalized();
                assert_eq!(got, sum_of_each(&elements).normalized(), "{len} elements, 2^-{power}");
            }
        }
    }

    #[test]
    fn the_reach_is_what_float64_has() {
        let reach = |power| {
            let mut magnitudes = Magnitudes::new();
            let mut lanes = [[0; 4]; LANES];
            lanes[..4].copy_from_slice(&elements(4, power));
            magnitudes.add(&lanes);
            magnitudes.reach()
        };
        // 24 bits, 10 for the terms, and 19 between the largest and the smallest.
        assert!(reach(19).holds(1024));
        assert!(!reach(20).holds(1024));
        assert!(!reach(19).holds(1025));
        assert!(!Reach { finite: false, powers: 0 }.holds(1));
    }
}
