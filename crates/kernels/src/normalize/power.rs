//! Powers of two, products with which are exact.

/// 2^exponent of a normal number.
pub(super) const fn power(exponent: i32) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

/// `x * 2^exponent`, which is rounded only if it is subnormal or infinite.
pub(super) fn times_power(mut x: f64, mut exponent: i32) -> f64 {
    while !(-1000..=1000).contains(&exponent) {
        let step = exponent.clamp(-1000, 1000);
        x *= power(step);
        exponent -= step;
    }
    x * power(exponent)
}

/// The exponent of the largest power of two that is not above `x`, which is above 0.
pub(super) fn exponent(x: f64) -> i32 {
    let biased = (x.to_bits() >> 52) as i32;
    if biased > 0 { biased - 1023 } else { x.to_bits().ilog2() as i32 - 1074 }
}
