//! Estimates beside exact results.

use proptest::prelude::*;

use super::*;
use crate::{
    DType, NormKind,
    dtype::NEAR,
    half::{Bf16, F16},
};

const PLACE: Position = Position { offset: 0, set: 0, affine: 0 };

fn run(len: usize, affine: bool) -> Dim {
    let affine_stride = usize::from(affine);
    Dim { len, stride: 1, pooled: true, set_stride: 0, affine, affine_stride }
}

/// The bits of ordinary numbers, of some around one, of any, or of both. Some results of the ordinary ones lie on the
/// other side of a tie than their estimates, so the test fails if estimates may be next to a tie.
fn rows() -> impl Strategy<Value = Vec<u16>> {
    let around = |near: u16, steps: Vec<u16>| steps.into_iter().map(move |step| near.wrapping_add(step)).collect();
    let steps = |most: u16| prop::collection::vec(0..=most, 64..300);
    // Of both half types, the numbers from about a thousandth to some hundreds, of both signs.
    let ordinary = prop::collection::vec((0x3C00 - 0x800..0x4400_u16, any::<bool>()), 280..300);
    let signed = |(bits, negative)| bits | u16::from(negative) << 15;
    prop_oneof![
        5 => ordinary.prop_map(move |row| row.into_iter().map(signed).collect()),
        1 => (any::<u16>(), steps(3)).prop_map(move |(near, steps)| around(near, steps)),
        1 => (any::<u16>(), steps(400)).prop_map(move |(near, steps)| around(near, steps)),
        1 => steps(u16::MAX),
        1 => (steps(2), 0..64_usize, any::<u16>()).prop_map(|(mut row, index, other)| {
            row[index] = other;
            row
        }),
    ]
}

/// A weight: one of those with which results are estimated, or another.
fn weights() -> impl Strategy<Value = f64> {
    prop_oneof![6 => -3.0..3.0, 1 => Just(0.0), 1 => Just(-1.0), 1 => -1e-9..1e-9, 1 => any::<f64>()]
}

fn estimates_change_no_bit<E: Element>(row: &[u16], weights: &[f64], bias: f64, centred: bool, affine: bool) {
    let input: Vec<u8> = row.iter().flat_map(|bits| bits.to_le_bytes()).collect();
    let (mut got, mut expected) = (vec![0; input.len()], vec![0; input.len()]);
    let moments = measure::<E>(centred, Denominator::of(NormKind::Rms, 1e-5, E::DTYPE, row.len()), &input);
    let Moments { mean, tail, rstd, .. } = moments;
    let weights = if affine { &weights[..row.len()] } else { &weights[..1] };
    let bias = vec![bias; weights.len()];
    let numbers = Affine {
        weight: weights.to_vec(),
        bias,
        weight_dtype: None,
        bias_dtype: None,
        is_finite: true,
        most: [1.0, 0.0],
        least_bias: f64::INFINITY,
        weight_exponents: Vec::new(),
        near: None,
    };
    let numbers = numbers.with_estimates(E::DTYPE);
    if affine {
        write::<E, PerElement<'_>>(run(row.len(), true), moments, &numbers, PLACE, &input, &mut got);
    } else {
        write::<E, Broadcast>(run(row.len(), false), moments, &numbers, PLACE, &input, &mut got);
    }
    let weight = |i: usize| weights[if affine { i } else { 0 }];
    let bias = numbers.bias[0];
    E::map(&input, &mut expected, |i, x| (x - mean - tail) * rstd * weight(i) + bias);
    assert_eq!(got, expected, "{moments:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_estimated_is_rounded_to_the_same_bits(
        row in rows(),
        weights in prop_oneof![
            Just(vec![1.0; 300]),
            prop::collection::vec(-3.0..3.0, 300),
            prop::collection::vec(weights(), 300),
        ],
        bias in prop_oneof![3 => Just(-0.0), 1 => Just(0.0), 1 => -2.0..2.0],
        centred: bool,
        affine: bool,
    ) {
        estimates_change_no_bit::<Bf16>(&row, &weights, bias, centred, affine);
        estimates_change_no_bit::<F16>(&row, &weights, bias, centred, affine);
    }
}

/// If no row were estimated, the test above would check nothing.
#[test]
fn most_rows_are_estimated() {
    let input: Vec<u8> = (0..256_u16).flat_map(|i| (0x3C00 + i).to_le_bytes()).collect();
    let near = |centred, eps| {
        let denominator = Denominator::of(NormKind::Rms, eps, DType::F16, 256);
        Near::of(measure::<F16>(centred, denominator, &input)).is_some()
    };
    assert!(near(true, 1e-5) && near(false, 1e-5));
    assert!(!near(true, f64::INFINITY));
}

/// Estimates within the largest error of a tie, on both sides, are not used; all others are.
#[test]
fn ties_are_seen_from_as_far_as_estimates_are_off() {
    use crate::dtype::Coded as _;
    let half = 1.0f32.to_bits() + 0x8000; // between two bfloat16 numbers
    for offset in -300_i32..=300 {
        let near = f32::from_bits(half.wrapping_add_signed(offset));
        let mut output = [0; 128];
        // The exact function gives another number, so the output shows which function was used.
        Bf16::map_near(&[0; 128], &mut output, (), |_, ()| near, (), |_, ()| 4.0);
        let asked = output == [0x40; 64].map(|_| Bf16::from_f64(4.0).0.to_le_bytes()).concat()[..];
        assert_eq!(asked, offset.unsigned_abs() <= NEAR, "{offset}");
    }
}
