//! The bits of float64 numbers: mantissa, exponent and neighbours.

/// The absolute value as `mantissa * 2^power`.
pub(crate) fn decoded(x: f64) -> (u64, i32) {
    let bits = x.to_bits();
    let biased = (bits >> 52 & 0x7FF) as i32;
    let fraction = bits & ((1 << 52) - 1);
    // A subnormal has the exponent of the smallest normal number, without the hidden bit.
    let (mantissa, biased) = if biased == 0 { (fraction, 1) } else { (fraction | 1 << 52, biased) };
    (mantissa, biased - 1075)
}

/// Three neighbouring numbers, one of which is nearest to an exact root close to `root` that will be scaled by
/// 2^exponent. They are neighbours in float64, or further apart if the scaled result is subnormal.
pub(crate) fn neighbours(root: f64, exponent: i32) -> (f64, f64, f64) {
    let finest = power_of_two((-1074 - exponent).max(-200));
    if root.next_up() - root >= finest {
        (root.next_down(), root, root.next_up())
    } else {
        let root = (root / finest).floor() * finest;
        (root - finest, root, root + finest)
    }
}

/// 2^exponent, for an exponent of a normal number.
pub(crate) fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(u64::try_from(exponent + 1023).expect("a normal number's exponent") << 52)
}

/// `x * 2^exponent`; rounds only if the result is subnormal or infinite.
pub(crate) fn scaled(mut x: f64, mut exponent: i32) -> f64 {
    while !(-1000..=1000).contains(&exponent) {
        let step = exponent.clamp(-1000, 1000);
        x *= power_of_two(step);
        exponent -= step;
    }
    x * power_of_two(exponent)
}
