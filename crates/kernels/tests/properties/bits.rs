//! The same bits on any number of threads and with any instruction set.

use std::sync::Mutex;

use evenkeel_kernels::{
    ClipMode, Clipping, DType, Dropout, DropoutKind, DropoutScaling, NormKind, NormParameters, Normalization, Tensor,
    Uninterrupted, clip_gradients, dropout, normalize, normalize_backward,
    simd::{self, InstructionSet},
};
use rayon::ThreadPoolBuilder;

use super::case::tensor;

/// Held while a test forces an instruction set, which holds for the whole process.
static FORCED: Mutex<()> = Mutex::new(());

/// On 1, 2, 3 and 16 threads and with every instruction set that the machine has.
fn everywhere<T: PartialEq + std::fmt::Debug + Send>(what: &str, work: impl Fn() -> T + Sync) {
    let run = |threads| ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool").install(&work);
    let _forced = FORCED.lock().expect("no test panics while it holds this, or all fail");
    simd::force(InstructionSet::Baseline);
    let expected = run(1);
    for set in InstructionSet::ALL.into_iter().filter(|set| set.is_available()) {
        for threads in [1, 2, 3, 16] {
            simd::force(set);
            assert!(run(threads) == expected, "{what} differs on {threads} threads with {set:?}");
        }
    }
}

fn noise(dtype: DType, shape: &[usize]) -> Tensor {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as f64 / f64::from(1u32 << 28) - 4.0
    };
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| next()).collect();
    tensor(dtype, shape, &values)
}

#[test]
fn normalization() {
    for (kind, shape) in [
        (NormKind::Layer, vec![300, 1000]),
        (NormKind::Layer, vec![2, 200_000]),
        (NormKind::Rms, vec![7, 50_001]),
        (NormKind::Batch, vec![16, 12, 40, 41]),
        (NormKind::Batch, vec![60_000, 5]),
        (NormKind::Instance, vec![4, 8, 101, 103]),
        (NormKind::Group, vec![4, 8, 101, 103]),
    ] {
        let spec = Normalization { groups: if kind == NormKind::Group { 4 } else { 0 }, ..Normalization::new(kind) };
        let (input, grad) = (noise(DType::F32, &shape), noise(DType::F32, &shape));
        let weight = noise(
            DType::F32,
            &[if matches!(kind, NormKind::Layer | NormKind::Rms) { shape[shape.len() - 1] } else { shape[1] }],
        );
        let parameters = NormParameters { weight: Some(weight.view()), ..NormParameters::default() };
        everywhere(&format!("{kind:?} {shape:?}"), || {
            let forward = normalize(&spec, &parameters, input.view(), true, &Uninterrupted).expect("valid");
            let backward =
                normalize_backward(&spec, &parameters, input.view(), grad.view(), &Uninterrupted).expect("valid");
            (forward, backward)
        });
    }
}

#[test]
fn dropout_and_clipping() {
    let input = noise(DType::F16, &[3, 5, 12_345]);
    for kind in [DropoutKind::Element, DropoutKind::Channel] {
        let spec = Dropout { p: 0.3, seed: 9, offset: 5, kind, scaling: DropoutScaling::Inverted };
        everywhere("dropout", || dropout(&spec, input.view(), true, &Uninterrupted).expect("valid"));
    }
    let gradients = [noise(DType::F32, &[100_003]), noise(DType::Bf16, &[17]), noise(DType::F64, &[40_000])];
    let views = gradients.each_ref().map(Tensor::view);
    for norm_type in [1.0, 2.0, 2.5] {
        let spec = Clipping {
            mode: ClipMode::Norm,
            threshold: 1.0,
            norm_type: Some(norm_type),
            error_if_nonfinite: false,
            total_norm: None,
        };
        everywhere("clipping", || clip_gradients(&spec, &views, &Uninterrupted).expect("valid"));
    }
}

/// A row does not change with the rows beside it.
#[test]
fn alone_and_in_a_batch() {
    let batch = noise(DType::F32, &[64, 777]);
    let spec = Normalization::new(NormKind::Layer);
    let run = |input: &Tensor| {
        normalize(&spec, &NormParameters::default(), input.view(), false, &Uninterrupted).expect("valid").output
    };
    let together = run(&batch);
    for (row, bytes) in batch.data().chunks(777 * 4).enumerate() {
        let alone = Tensor::from_bytes(DType::F32, vec![1, 777], bytes.to_vec()).expect("one row");
        assert_eq!(run(&alone).data(), &together.data()[row * 777 * 4..(row + 1) * 777 * 4]);
    }
}
