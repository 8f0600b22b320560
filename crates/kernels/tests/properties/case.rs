//! Random tensors and normalizations.

use std::fmt;

use evenkeel_kernels::{DType, NormKind, NormParameters, Normalization, Tensor, Violations, encode};
use ndarray::ArrayD;
use proptest::prelude::*;

/// A tensor of `dtype` whose elements are `values`, rounded.
pub(crate) fn tensor(dtype: DType, shape: &[usize], values: &[f64]) -> Tensor {
    let mut data = vec![0; values.len() * dtype.size()];
    encode(dtype, values, &mut data);
    Tensor::from_bytes(dtype, shape.to_vec(), data).expect("one value for each element")
}

/// The elements as float64.
pub(crate) fn values(tensor: &Tensor) -> ArrayD<f64> {
    ArrayD::from_shape_vec(tensor.shape(), tensor.view().to_f64()).expect("a tensor fills its shape")
}

/// The field of the one violation.
pub(crate) fn only(violations: &Violations) -> String {
    assert_eq!((violations.iter().len(), violations.left_out()), (1, 0), "{violations}");
    violations.iter().map(|violation| violation.field.to_string()).collect()
}

pub(crate) fn dtypes() -> impl Strategy<Value = DType> {
    prop::sample::select(DType::ALL.to_vec())
}

/// Numbers of one scale, around some offset, as in usual tensors.
pub(crate) fn numbers(len: usize) -> impl Strategy<Value = Vec<f64>> {
    let number = (-1000i32..1000).prop_map(|n| f64::from(n) / 250.0);
    (prop::collection::vec(number, len), prop::sample::select(vec![0.0, 3.0, -100.0]))
        .prop_map(|(numbers, offset)| numbers.into_iter().map(|x| x + offset).collect())
}

/// Numbers of any scale that the dtype has, from 1e-38 to 1e38, around an offset of up to a million spreads.
pub(crate) fn wide_numbers(dtype: DType, len: usize) -> impl Strategy<Value = Vec<f64>> {
    let (least, most) = match dtype {
        DType::F32 | DType::F64 | DType::Bf16 => (-38, 38),
        DType::F16 => (-7, 4),
    };
    let number = prop_oneof![
        8 => -1.0..1.0,
        1 => Just(1.0),
        1 => prop::sample::select(vec![-1.0, 0.0, 1e-3, -1e-9, 1.0 / 3.0]),
    ];
    let offset = prop::sample::select(vec![0.0, 0.0, 1.0, -30.0, 1e3, 1e6, -1e6]);
    (prop::collection::vec(number, len), offset, least..=most).prop_map(
        move |(numbers, offset, decade): (Vec<f64>, f64, i32)| {
            let spread = (2.9 * 10f64.powi(decade)).min(2.9 * 10f64.powi(most) / (offset.abs() + 1.0));
            numbers.into_iter().map(|x| (x + offset) * spread).collect()
        },
    )
}

/// Numbers among which there are pairs that cancel, exactly or but for some units of their last places, at several
/// magnitudes up to those that the dtype has.
pub(crate) fn cancelling_numbers(dtype: DType, len: usize) -> impl Strategy<Value = Vec<f64>> {
    let (least, most) = match dtype {
        DType::F32 | DType::Bf16 => (-38, 38),
        DType::F64 => (-140, 140),
        DType::F16 => (-7, 4),
    };
    let place = any::<prop::sample::Index>;
    let pair = (place(), place(), least..=most, 1.0..9.0, prop_oneof![3 => Just(0.0), 1 => -3.0..3.0]);
    let pairs = prop::collection::vec(pair, 0..=len.clamp(2, 12));
    (wide_numbers(dtype, len), numbers(len), any::<bool>(), pairs).prop_map(move |(wide, plain, is_wide, pairs)| {
        let mut numbers = if is_wide { wide } else { plain };
        for (one, other, decade, digits, steps) in pairs {
            let steps: f64 = steps;
            let large = super::ulp::rounded(dtype, digits * 10f64.powi(decade));
            let large = if large.is_finite() { large } else { 10f64.powi(decade) };
            // The sum is exact in float64, and a number of the dtype except at the end of its range.
            let other_large = large + steps.round() * super::ulp::ulp(dtype, large);
            if len > 1 {
                numbers[one.index(len)] = large;
                numbers[other.index(len)] = if other_large.is_finite() { -other_large } else { -large };
            }
        }
        numbers
    })
}

/// Numbers that are a few units of their last places from each other, or a few thousand: nearly constant.
pub(crate) fn close_numbers(dtype: DType, len: usize) -> impl Strategy<Value = Vec<f64>> {
    let (least, most) = match dtype {
        DType::F32 | DType::F64 | DType::Bf16 => (-30, 30),
        DType::F16 => (-4, 2),
    };
    let steps = prop_oneof![1 => Just(1.0), 1 => Just(3.0), 1 => Just(5000.0)];
    // Most of them are the same.
    let number = prop_oneof![3 => Just(0.0), 1 => -1.0..1.0, 1 => Just(1.0)];
    (1.0f64..2.0, least..=most, steps, prop::collection::vec(number, len)).prop_map(
        move |(digits, decade, steps, numbers)| {
            let offset = super::ulp::rounded(dtype, digits * 10f64.powi(decade));
            let unit = super::ulp::ulp(dtype, offset);
            numbers.into_iter().map(|x: f64| offset + (x * steps).round() * unit).collect()
        },
    )
}

pub(crate) fn tensors(shape: Vec<usize>) -> impl Strategy<Value = Tensor> {
    let len = shape.iter().product();
    (dtypes(), numbers(len)).prop_map(move |(dtype, values)| tensor(dtype, &shape, &values))
}

/// The arguments of a normalization, which fit together.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) spec: Normalization,
    pub(crate) input: Tensor,
    pub(crate) grad_output: Tensor,
    pub(crate) weight: Option<Tensor>,
    pub(crate) bias: Option<Tensor>,
    pub(crate) running: Option<(Tensor, Tensor)>,
}

/// Prints the numbers of the tensors instead of their bytes.
impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { spec, input, grad_output, weight, bias, running } = self;
        let show = |tensor: &Tensor| format!("{} {:?} {:?}", tensor.dtype(), tensor.shape(), tensor.view().to_f64());
        let show_if = |tensor: &Option<Tensor>| tensor.as_ref().map(show);
        f.debug_struct("Case")
            .field("spec", spec)
            .field("input", &show(input))
            .field("grad_output", &show(grad_output))
            .field("weight", &show_if(weight))
            .field("bias", &show_if(bias))
            .field("running", &running.as_ref().map(|(mean, var)| [show(mean), show(var)]))
            .finish()
    }
}

impl Case {
    pub(crate) fn parameters(&self) -> NormParameters<'_> {
        NormParameters {
            weight: self.weight.as_ref().map(Tensor::view),
            bias: self.bias.as_ref().map(Tensor::view),
            running_mean: self.running.as_ref().map(|(mean, _)| mean.view()),
            running_var: self.running.as_ref().map(|(_, var)| var.view()),
            statistics: None,
        }
    }
}

/// The distribution of input and gradient.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Numbers {
    /// Of one scale and moderate offsets, as the inputs of layers are.
    Ordinary,
    /// Of any scale and offset.
    Wide,
    /// With large elements that cancel.
    Cancelling,
    /// Nearly constant, beside ordinary or nearly constant gradients.
    Close,
}

/// Cases of every dtype, with ordinary numbers or wide ones.
pub(crate) fn cases() -> impl Strategy<Value = Case> {
    prop::sample::select(vec![Numbers::Ordinary, Numbers::Wide])
        .prop_flat_map(|numbers| cases_of(DType::ALL.to_vec(), numbers))
}

/// Cases whose input is of one of the dtypes.
pub(crate) fn cases_of(dtypes: Vec<DType>, drawn: Numbers) -> impl Strategy<Value = Case> {
    // Long and short runs, so that pieces and blocks are cut at every kind of boundary.
    let dims = prop_oneof![8 => 1usize..6, 2 => 6usize..40, 1 => 250usize..600];
    (prop::sample::select(NormKind::ALL.to_vec()), prop::collection::vec(dims, 1..5))
        .prop_filter("small enough to check by hand", |(_, shape)| shape.iter().product::<usize>() < 20_000)
        .prop_flat_map(|(kind, shape)| {
            let rank = shape.len();
            let channel_axis = 0..rank;
            let axes = prop_oneof![
                Just(Vec::new()),
                prop::sample::subsequence((0..rank as i32).collect::<Vec<_>>(), 1..=rank).prop_shuffle(),
            ];
            (Just(kind), Just(shape), channel_axis, axes, any::<[bool; 5]>(), 0usize..4, 0u8..4)
        })
        .prop_filter_map("valid", |(kind, shape, channel_axis, axes, flags, divisor, eps)| {
            let rank = shape.len();
            let mut spec = Normalization::new(kind);
            let by_channel = kind.has_channels();
            if kind == NormKind::Instance && rank < 3 || by_channel && rank < 2 {
                return None;
            }
            let from_end = |axis: i32| if flags[0] { axis - rank as i32 } else { axis };
            spec.axes = axes.iter().map(|&axis| from_end(axis)).collect();
            let channels = shape[channel_axis];
            if by_channel {
                spec.channel_axis = Some(from_end(channel_axis as i32));
            }
            if kind == NormKind::Group {
                let divisors: Vec<usize> = (1..=channels).filter(|g| channels.is_multiple_of(*g)).collect();
                spec.groups = divisors[divisor % divisors.len()];
            }
            spec.eps = Some(match eps {
                0 if kind.has_running_statistics() => 1e-30,
                0 => 0.0,
                1 => 0.25,
                2 if kind == NormKind::L2 => 30.0, // a norm may well be smaller
                _ => 1e-5,
            });
            spec.momentum = Some(if flags[2] { 0.1 } else { 0.75 });
            let keeps_channels = !axes.contains(&(channel_axis as i32));
            let running = flags[3] && keeps_channels && kind.has_running_statistics();
            spec.training = running.then_some(flags[4]);
            Some((spec, shape, channels, by_channel, running))
        })
        .prop_filter("own statistics of more than one value", |(spec, shape, ..)| {
            super::oracle::set_len(spec, shape) > 1
        })
        .prop_flat_map(move |(spec, shape, channels, by_channel, running)| {
            let affine = if by_channel {
                vec![channels]
            } else {
                super::oracle::pooled(&spec, &shape).iter().map(|&axis| shape[axis]).collect()
            };
            let has_affine = spec.kind.has_affine();
            let len = shape.iter().product();
            let variance = (self::dtypes(), prop::collection::vec(0.25f64..4.0, channels))
                .prop_map(move |(dtype, values)| tensor(dtype, &[channels], &values));
            let input = prop::sample::select(dtypes.clone()).prop_flat_map(move |dtype| {
                let drawn_as = |drawn| match drawn {
                    Numbers::Ordinary => numbers(len).boxed(),
                    Numbers::Wide => wide_numbers(dtype, len).boxed(),
                    Numbers::Cancelling => cancelling_numbers(dtype, len).boxed(),
                    Numbers::Close => close_numbers(dtype, len).boxed(),
                };
                let gradients = match drawn {
                    // Nearly equal gradients, whose products cancel, too.
                    Numbers::Close => prop_oneof![drawn_as(Numbers::Ordinary), drawn_as(Numbers::Close)].boxed(),
                    Numbers::Ordinary | Numbers::Wide | Numbers::Cancelling => drawn_as(drawn),
                };
                (Just(dtype), drawn_as(drawn), gradients)
            });
            (
                (Just(spec), input, Just(shape)),
                prop::option::of(tensors(affine.clone())).prop_map(move |weight| weight.filter(|_| has_affine)),
                prop::option::of(tensors(affine)).prop_map(move |bias| bias.filter(|_| has_affine)),
                (tensors(vec![channels]), variance).prop_map(move |pair| running.then_some(pair)),
            )
        })
        .prop_map(|((spec, (dtype, input, grad), shape), weight, bias, running)| Case {
            spec,
            input: tensor(dtype, &shape, &input),
            grad_output: tensor(dtype, &shape, &grad),
            weight,
            bias,
            running,
        })
}
