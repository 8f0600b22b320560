//! No bit of a channel depends on the weights of other channels.

use evenkeel_kernels::{DType, NormKind, NormParameters, Normalization, Tensor};

use super::{
    case::tensor,
    in_place::{normalize_backward_in_both, normalize_in_both},
};

/// The bytes of channel 0's outputs and gradients beside such weights.
fn of_channel_0(kind: NormKind, is_column: bool, dtype: DType, weights: [f64; 2], bias: Option<[f64; 2]>) -> Vec<u8> {
    let (x, dy) = ([[1.0, 2.0, 4.0, 3.5], [2.0, 1.0, 0.0, 5.0]], [[1.0, -2.0, 0.5, 3.0], [1.0, 2.0, 3.0, 5.0]]);
    let (shape, channel_axis): (&[usize], i32) = match (kind, is_column) {
        (NormKind::Batch, true) => (&[4, 2], 1),
        (NormKind::Batch, false) => (&[2, 4], 0),
        (_, true) => (&[1, 4, 2], 2),
        (_, false) => (&[1, 2, 4], 1),
    };
    let place = |channel: usize, i: usize| if is_column { 2 * i + channel } else { 4 * channel + i };
    let of = |rows: [[f64; 4]; 2]| {
        let mut data = [0.0; 8];
        (0..8).for_each(|i| data[place(i / 4, i % 4)] = rows[i / 4][i % 4]);
        tensor(dtype, shape, &data)
    };
    let groups = if kind == NormKind::Group { 2 } else { 0 };
    let spec = Normalization { eps: Some(1e-5), groups, channel_axis: Some(channel_axis), ..Normalization::new(kind) };
    let weight = tensor(DType::F64, &[2], &weights);
    let bias = bias.map(|bias| tensor(DType::F64, &[2], &bias));
    let parameters =
        NormParameters { weight: Some(weight.view()), bias: bias.as_ref().map(Tensor::view), ..Default::default() };
    let output = normalize_in_both(&spec, &parameters, of(x).view()).expect("valid").output;
    let gradients = normalize_backward_in_both(&spec, &parameters, of(x).view(), of(dy).view()).expect("valid");
    let size = dtype.size();
    let mut bytes = gradients.grad_weight.expect("there is a weight").data()[..8].to_vec();
    for tensor in [&output, &gradients.grad_input] {
        (0..4).for_each(|i| bytes.extend_from_slice(&tensor.data()[place(0, i) * size..][..size]));
    }
    bytes
}

#[test]
fn no_channel_depends_on_the_weight_of_another() {
    for kind in [NormKind::Batch, NormKind::Instance, NormKind::Group] {
        for is_column in [false, true] {
            for dtype in DType::ALL {
                for weight in [1.0, 1e-307, -2e-310, 1e5, 1e308] {
                    let alone = of_channel_0(kind, is_column, dtype, [weight, 1.0], None);
                    for other in [17.0, 1e300, f64::INFINITY, f64::NAN] {
                        let beside = of_channel_0(kind, is_column, dtype, [weight, other], None);
                        assert_eq!(beside, alone, "{kind:?} {is_column} {dtype} {weight:e} beside {other:e}");
                    }
                    let alone = of_channel_0(kind, is_column, dtype, [weight, 1.0], Some([0.3, 1.0]));
                    for other in [1e-300, 1e200, f64::INFINITY, f64::NAN] {
                        let beside = of_channel_0(kind, is_column, dtype, [weight, 1.0], Some([0.3, other]));
                        assert_eq!(beside, alone, "{kind:?} {is_column} {dtype} {weight:e}, bias {other:e}");
                    }
                }
            }
        }
    }
}

/// The elements of a row have weights of their own.
#[test]
fn no_output_depends_on_the_weight_of_another_element() {
    for kind in [NormKind::Layer, NormKind::Rms] {
        for dtype in DType::ALL {
            for weight in [1.0, 1e-307, 5e-310, 1e5] {
                let first = |other: f64| {
                    let weight = tensor(DType::F64, &[4], &[weight, other, 1.0, 1.0]);
                    let parameters = NormParameters { weight: Some(weight.view()), ..Default::default() };
                    let input = tensor(dtype, &[1, 4], &[1.0, 2.0, 4.0, 3.5]);
                    let got = normalize_in_both(&Normalization::new(kind), &parameters, input.view()).expect("valid");
                    got.output.data()[..dtype.size()].to_vec()
                };
                for other in [17.0, 1e300, f64::INFINITY, f64::NAN] {
                    assert_eq!(first(other), first(1.0), "{kind:?} {dtype} {weight:e} beside {other:e}");
                }
            }
        }
    }
}
