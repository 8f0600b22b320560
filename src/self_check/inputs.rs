//! Tensors that every machine makes alike: their numbers are whole numbers times powers of two, and bit patterns.

use evenkeel_kernels::{DType, Tensor, encode};

/// The numbers of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// Between -4 and 4, with a sum that depends on the order of the additions.
    Noise,
    /// Of many magnitudes.
    Wide,
    /// Noise, and every fifth number is large and has its negative beside it.
    Cancelling,
    /// Noise with zeros of both signs, the smallest and the largest numbers, infinities and NaN.
    Special,
}

/// A stream of numbers (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number between -4 and 4.
    fn noise(&mut self) -> f64 {
        /// 2^-50.
        const UNIT: f64 = 1.0 / (1u64 << 50) as f64;
        (self.next() >> 11) as f64 * UNIT - 4.0
    }

    /// A number of any sign, with an exponent from `low` on and below `high`.
    fn of_exponents(&mut self, low: i64, high: i64) -> f64 {
        /// The bits of the sign and of the fraction.
        const SIGN_AND_FRACTION: u64 = 1 << 63 | ((1 << 52) - 1);
        let (bits, choice) = (self.next(), self.next() >> 1);
        let exponent = low + choice as i64 % (high - low);
        f64::from_bits(bits & SIGN_AND_FRACTION | ((1023 + exponent) as u64) << 52)
    }
}

/// A tensor of this pattern, rounded to its dtype. Tensors of different seeds have different numbers.
pub(super) fn tensor(dtype: DType, shape: &[usize], pattern: Pattern, seed: u64) -> Tensor {
    let mut stream = SplitMix(seed);
    let len = shape.iter().product();
    let mut values: Vec<f64> = (0..len).map(|_| stream.noise()).collect();
    let (wide, large) = exponents(dtype);
    match pattern {
        Pattern::Noise => {}
        Pattern::Wide => values.fill_with(|| stream.of_exponents(wide.0, wide.1)),
        Pattern::Cancelling => {
            for two in values.chunks_exact_mut(2).step_by(5) {
                let x = stream.of_exponents(large.0, large.1);
                two.copy_from_slice(&[x, -x]);
            }
        }
        Pattern::Special => {
            let specials = special(dtype);
            for (which, special) in specials.into_iter().enumerate() {
                values[which * len / specials.len()] = special;
            }
        }
    }
    of_values(dtype, shape, &values)
}

/// A tensor of these numbers, rounded to its dtype.
pub(super) fn of_values(dtype: DType, shape: &[usize], values: &[f64]) -> Tensor {
    let mut bytes = vec![0; values.len() * dtype.size()];
    encode(dtype, values, &mut bytes);
    Tensor::from_bytes(dtype, shape.to_vec(), bytes).expect("there are as many bytes as the shape needs")
}

/// The exponents of wide numbers, and of large ones that cancel.
fn exponents(dtype: DType) -> ((i64, i64), (i64, i64)) {
    match dtype {
        DType::F16 => ((-13, 9), (10, 15)),
        DType::F32 | DType::Bf16 => ((-60, 40), (80, 120)),
        DType::F64 => ((-600, 400), (400, 500)),
    }
}

/// Numbers at the ends of a dtype's range, and those that are none.
fn special(dtype: DType) -> [f64; 8] {
    let (least, largest) = match dtype {
        DType::F16 => (f64::from_bits((1023 - 24) << 52), 65504.0),
        DType::F32 | DType::Bf16 => (f64::from_bits((1023 - 133) << 52), f64::from(f32::from_bits(0x7F7F_0000))),
        DType::F64 => (f64::from_bits(1), f64::MAX),
    };
    [0.0, -0.0, least, -least, largest, f64::INFINITY, f64::NEG_INFINITY, f64::NAN]
}
