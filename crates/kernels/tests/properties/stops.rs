//! Operations stop when their checkpoint returns an error, and ask it often enough.

use std::sync::atomic::{AtomicUsize, Ordering};

use evenkeel_kernels::{
    Cancelled, Checkpoint, ClipMode, Clipping, DType, Dropout, DropoutKind, DropoutScaling, Error, NormKind,
    NormParameters, Normalization, TensorMut, clip_gradients, clip_gradients_in_place, dropout, dropout_backward,
    dropout_in_place, normalize, normalize_backward, normalize_backward_in_place,
};

use super::case::tensor;

type Operation<'a> = Box<dyn Fn(&dyn Checkpoint) -> Option<Error> + 'a>;

/// Lets a number of chunks pass.
struct After(AtomicUsize);

impl Checkpoint for After {
    fn check(&self) -> Result<(), Cancelled> {
        let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map(|_| ()).map_err(|_| Cancelled)
    }
}

#[test]
fn stops_at_any_chunk() {
    let shape = [4, 4, 10_000];
    let input = tensor(DType::F32, &shape, &[1.5; 160_000]);
    let view = input.view();
    let none = NormParameters::default();
    let (kind, scaling) = (DropoutKind::Element, DropoutScaling::Inverted);
    let drop = Dropout { p: 0.5, seed: 0, offset: 0, kind, scaling, channel_axis: None };
    let clipping = |mode| Clipping::new(mode, 1.0);
    let operations: [(&str, Operation<'_>); 10] = [
        ("layer", Box::new(move |c| normalize(&Normalization::new(NormKind::Layer), &none, view, false, c).err())),
        ("batch", Box::new(move |c| normalize(&Normalization::new(NormKind::Batch), &none, view, false, c).err())),
        (
            "layer backward",
            Box::new(move |c| normalize_backward(&Normalization::new(NormKind::Layer), &none, view, view, c).err()),
        ),
        (
            "layer backward in place",
            Box::new(move |c| {
                let mut data = view.data().to_vec();
                let mut gradient = TensorMut::new(view.dtype(), view.shape(), &mut data).expect("a copy is as long");
                let spec = Normalization::new(NormKind::Layer);
                normalize_backward_in_place(&spec, &none, view, &mut gradient, c).err()
            }),
        ),
        ("dropout", Box::new(move |c| dropout(&drop, view, false, c).err())),
        ("dropout backward", Box::new(move |c| dropout_backward(&drop, view, c).err())),
        ("norm", Box::new(move |c| clip_gradients(&clipping(ClipMode::Norm), &[view], c).err())),
        (
            "norm in place",
            Box::new(move |c| {
                let mut data = view.data().to_vec();
                let gradient = TensorMut::new(view.dtype(), view.shape(), &mut data).expect("a copy is as long");
                clip_gradients_in_place(&clipping(ClipMode::Norm), &mut [gradient], c).err()
            }),
        ),
        (
            "dropout in place",
            Box::new(move |c| {
                let mut data = view.data().to_vec();
                let mut input = TensorMut::new(view.dtype(), view.shape(), &mut data).expect("a copy is as long");
                dropout_in_place(&drop, &mut input, false, c).err()
            }),
        ),
        ("value", Box::new(move |c| clip_gradients(&clipping(ClipMode::Value), &[view], c).err())),
    ];
    for (name, operation) in operations {
        let asked = |allowed| {
            let checkpoint = After(AtomicUsize::new(allowed));
            let result = operation(&checkpoint);
            (result, allowed - checkpoint.0.load(Ordering::Relaxed))
        };
        let (result, chunks) = asked(usize::MAX / 2);
        assert_eq!(result, None, "{name}");
        assert!(chunks >= 10, "{name} asks only {chunks} times for 160,000 elements");
        for allowed in [0, 1, chunks / 2, chunks - 1] {
            assert_eq!(asked(allowed).0, Some(Error::Cancelled), "{name} after {allowed} of {chunks} chunks");
        }
    }
}

/// A set whose mean is added again exactly, and a bias whose gradient is, ask on the way.
#[test]
fn stops_while_sums_are_added_again() {
    const LEN: usize = 160_000;
    let ordinary = vec![1.5; LEN];
    let mut cancelling: Vec<f64> = (0..LEN).map(|i| if i % 2 == 0 { 1e30 } else { -1e30 }).collect();
    (cancelling[0], cancelling[2]) = (7.0, 1e-30);
    let asked = |elements: &[f64], backward| {
        let input = tensor(DType::F64, &[LEN / 2, 1, 2], elements);
        let one = tensor(DType::F64, &[1], &[1.0]);
        let affine = NormParameters { weight: Some(one.view()), bias: Some(one.view()), ..NormParameters::default() };
        let (spec, checkpoint) = (Normalization::new(NormKind::Batch), After(AtomicUsize::new(usize::MAX / 2)));
        if backward {
            normalize_backward(&spec, &affine, input.view(), input.view(), &checkpoint).expect("it is not cancelled");
        } else {
            normalize(&spec, &affine, input.view(), false, &checkpoint).expect("it is not cancelled");
        }
        usize::MAX / 2 - checkpoint.0.load(Ordering::Relaxed)
    };
    for backward in [false, true] {
        let [usual, again] = [&ordinary, &cancelling].map(|elements| asked(elements, backward));
        assert!(again >= usual + LEN / 16_384, "backward {backward}: asks {again} times instead of {usual}");
    }
}
