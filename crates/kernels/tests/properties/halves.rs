//! The half types' rounding, against the definition: of the two neighbours the nearer one, and of two equally near the
//! one with the even mantissa. `src/half.rs` tests every value of both types, and every midpoint.

use evenkeel_kernels::{DType, encode};
use proptest::prelude::*;

/// The 16 bits that a number becomes.
fn converted(dtype: DType, x: f64) -> u16 {
    let mut bytes = [0; 2];
    encode(dtype, &[x], &mut bytes);
    u16::from_le_bytes(bytes)
}

/// The same by integers: a float64 is `mantissa * 2^exponent`, and so are the neighbouring numbers of the type.
fn nearest(dtype: DType, x: f64) -> u16 {
    let (digits, largest_exponent) = if dtype == DType::F16 { (10, 15) } else { (7, 127) };
    if x.is_nan() {
        return if dtype == DType::F16 { 0x7E00 } else { 0x7FC0 };
    }
    let sign = u16::from(x.is_sign_negative()) << 15;
    let infinity = ((2 * largest_exponent as u16) + 1) << digits;
    let bits = x.to_bits() & (u64::MAX >> 1);
    let field = (bits >> 52) as i32;
    if field == 0x7FF {
        return sign | infinity;
    }
    let (mantissa, exponent) =
        if field == 0 { (bits, -1074) } else { (bits & ((1 << 52) - 1) | 1 << 52, field - 1075) };
    // The last place of the type at this magnitude.
    let last = (exponent + 52 - digits).max(1 - largest_exponent - digits);
    let shift = (last - exponent) as u32;
    // Far below half of the smallest number: shifts of 128 bits and more would overflow.
    let (floor, rest) = if shift > 100 {
        (0, u128::from(mantissa > 0))
    } else {
        (u128::from(mantissa) >> shift, u128::from(mantissa) & ((1 << shift) - 1))
    };
    let half = if shift > 100 { 2 } else { 1u128 << (shift - 1) };
    let rounded = floor + u128::from(rest > half || rest == half && floor % 2 == 1);
    // A subnormal number's exponent field is 0, and that of a normal one counts its implicit bit.
    let above_subnormal = (last - (1 - largest_exponent - digits)) as u128;
    let result = (above_subnormal << digits) + rounded;
    sign | result.min(u128::from(infinity)) as u16
}

/// Numbers of every size that the types have, ones next to midpoints among them, and any bits at all.
fn any_float64() -> impl Strategy<Value = f64> {
    let near = (any::<u16>(), -3i64..=3).prop_map(|(bits, near)| {
        let middle = f64::from(f32::from_bits(u32::from(bits) << 16 | 0x8000));
        f64::from_bits(middle.to_bits().wrapping_add_signed(near))
    });
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        (-30i32..20, 1.0..2.0f64).prop_map(|(power, x)| x * 2f64.powi(power)),
        (-140i32..130, -2.0..2.0f64).prop_map(|(power, x)| x * 2f64.powi(power)),
        near,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn conversion_rounds_to_nearest_even(x in any_float64(), dtype in prop::sample::select(vec![DType::F16, DType::Bf16])) {
        prop_assert_eq!(converted(dtype, x), nearest(dtype, x), "{:e} as {}", x, dtype);
    }
}
