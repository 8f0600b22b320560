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
