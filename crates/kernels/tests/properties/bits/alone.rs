//! Rows and channels have the same bits alone and beside others.

use std::ops::Range;

use evenkeel_kernels::{DType, NormKind, NormParameters, Normalization, Tensor, TensorRef, Uninterrupted, normalize};
use proptest::prelude::*;

use super::{
    super::{
        case::{cancelling_numbers, dtypes, tensor, wide_numbers},
        in_place::{normalize_backward_in_both, normalize_in_both},
    },
    everywhere, noise,
};

/// Tensors that are larger than a cache take another way through memory.
#[test]
fn of_a_row_in_a_large_tensor_and_in_a_small_one() {
    const ROWS: usize = 1200;
    const ROW: usize = 1025;
    let input = noise(DType::F32, &[ROWS, ROW]);
    let weight = noise(DType::F32, &[ROW]);
    for kind in [NormKind::Layer, NormKind::Rms, NormKind::L2] {
        for weight in [None, Some(weight.view()).filter(|_| kind.has_affine())] {
            let parameters = NormParameters { weight, ..NormParameters::default() };
            let run = |data: &[u8]| {
                let shape = [data.len() / 4 / ROW, ROW];
                let input = TensorRef::new(DType::F32, &shape, data).expect("whole rows");
                let result = normalize_in_both(&Normalization::new(kind), &parameters, input);
                let result = result.expect("valid");
                [result.output, result.rstd.expect("asked for")].map(|tensor| tensor.data().to_vec())
            };
            everywhere(&format!("{kind:?}"), || run(input.data()));
            let mut joined = [Vec::new(), Vec::new()];
            for rows in input.data().chunks(100 * ROW * 4) {
                joined.iter_mut().zip(run(rows)).for_each(|(joined, part)| joined.extend(part));
            }
            assert!(joined == run(input.data()), "{kind:?}");
        }
    }
}

/// The bytes at these places.
fn gathered(data: &[u8], places: &[Range<usize>]) -> Vec<u8> {
    places.iter().flat_map(|place| data[place.clone()].chunks(1 << 20)).collect::<Vec<_>>().concat()
}

/// Batch statistics of a large tensor are computed tile by tile, some channels at a time.
#[test]
fn of_a_channel_in_a_large_tensor_and_alone() {
    // Tiles of several channels, tiles of one channel, and tiles of the least width.
    for shape in [[30, 40, 1025], [2, 3, 700_001], [3000, 700, 2]] {
        let [samples, channels, len] = shape;
        for dtype in [DType::F32, DType::F64] {
            let (input, grad, weights) = (noise(dtype, &shape), noise(dtype, &shape), noise(dtype, &[channels]));
            let bytes = len * dtype.size();
            // The results for each channel, and those for each element.
            let run = |[input, grad]: [&[u8]; 2], weight: Option<&[u8]>| {
                let shape = [samples, input.len() / bytes / samples, len];
                let weight_shape = [shape[1]];
                let view = |shape, data| TensorRef::new(dtype, shape, data).expect("it fits");
                let parameters = NormParameters {
                    weight: weight.map(|weight| view(&weight_shape[..], weight)),
                    ..NormParameters::default()
                };
                let (spec, input, grad) =
                    (Normalization::new(NormKind::Batch), view(&shape, input), view(&shape, grad));
                let forward = normalize_in_both(&spec, &parameters, input).expect("valid");
                let backward = normalize_backward_in_both(&spec, &parameters, input, grad).expect("valid");
                let of_channels = [forward.mean, forward.rstd, backward.grad_weight].into_iter().flatten();
                (of_channels.collect::<Vec<Tensor>>(), [forward.output, backward.grad_input])
            };
            for weights in [None, Some(weights.data())] {
                let whole = run([input.data(), grad.data()], weights);
                for channel in [0, channels / 3, channels - 1] {
                    let from = |sample| (sample * channels + channel) * bytes;
                    let places: Vec<_> = (0..samples).map(|sample| from(sample)..from(sample) + bytes).collect();
                    let of_channel = |data: &[u8]| {
                        let each = data.len() / channels;
                        data[channel * each..][..each].to_vec()
                    };
                    let own = [&input, &grad].map(|tensor| gathered(tensor.data(), &places));
                    let alone = run([&own[0], &own[1]], weights.map(of_channel).as_deref());
                    for (whole, alone) in whole.0.iter().zip(&alone.0) {
                        assert!(of_channel(whole.data()) == alone.data(), "{shape:?} {dtype} channel {channel}");
                    }
                    for (whole, alone) in whole.1.iter().zip(&alone.1) {
                        let whole = gathered(whole.data(), &places);
                        assert!(whole == alone.data(), "{shape:?} {dtype} channel {channel}");
                    }
                }
            }
        }
    }
}

/// A normalization whose sets are contiguous in memory, and the shape of one row of them.
fn row_wise() -> impl Strategy<Value = (Normalization, Vec<usize>)> {
    let kinds = vec![NormKind::Layer, NormKind::Rms, NormKind::Instance, NormKind::Group, NormKind::L2];
    (prop::sample::select(kinds), 1usize..4, prop_oneof![2usize..9, 200usize..600]).prop_map(|(kind, channels, len)| {
        let groups = if kind == NormKind::Group { channels } else { 0 };
        (Normalization { groups, ..Normalization::new(kind) }, vec![channels, len])
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Rows may be sent together, alone, or in any split; so may their gradients.
    #[test]
    fn rows_do_not_know_of_each_other(
        ((spec, row), dtype, input, grad) in (row_wise(), dtypes()).prop_flat_map(|((spec, row), dtype)| {
            let len = 40 * row.iter().product::<usize>();
            let numbers = || prop_oneof![wide_numbers(dtype, len), cancelling_numbers(dtype, len)];
            (Just((spec, row)), Just(dtype), numbers(), numbers())
        }),
        mut cuts in prop::collection::vec(0usize..=40, 0..50),
    ) {
        cuts.extend([0, 40]);
        cuts.sort_unstable();
        let run = |from: usize, to: usize| {
            let shape = [&[to - from][..], &row].concat();
            let len: usize = row.iter().product();
            let slice = |values: &[f64]| tensor(dtype, &shape, &values[from * len..to * len]);
            let (input, grad) = (slice(&input), slice(&grad));
            let none = NormParameters::default();
            let forward = normalize(&spec, &none, input.view(), true, &Uninterrupted).expect("valid");
            let backward = normalize_backward_in_both(&spec, &none, input.view(), grad.view()).expect("valid");
            let bytes = |tensor: Option<Tensor>| tensor.map_or_else(Vec::new, |tensor| tensor.data().to_vec());
            [bytes(Some(forward.output)), bytes(forward.mean), bytes(forward.rstd), bytes(Some(backward.grad_input))]
        };
        let mut joined = [const { Vec::new() }; 4];
        for cut in cuts.windows(2) {
            joined.iter_mut().zip(run(cut[0], cut[1])).for_each(|(joined, part)| joined.extend(part));
        }
        prop_assert!(joined == run(0, 40));
    }
}
