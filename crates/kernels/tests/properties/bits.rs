//! The same bits on any number of threads, with any instruction set, at any address, alone or beside others.

mod address;
mod alone;

use std::{
    env,
    fmt::Debug,
    fs,
    io::{self, Write as _},
    sync::Mutex,
};

use evenkeel_kernels::{
    ClipMode, Clipping, DType, Dropout, DropoutKind, DropoutScaling, NormKind, NormParameters, Normalization, Tensor,
    TensorRef, Uninterrupted, dropout_backward,
    half::{Bf16, F16},
    simd::{self, InstructionSet},
};
use rayon::ThreadPoolBuilder;

use super::{
    case::tensor,
    in_place::{self, clip_both, normalize_backward_in_both, normalize_in_both},
};

/// Held while a test forces an instruction set, which holds for the whole process.
static FORCED: Mutex<()> = Mutex::new(());

/// Instruction sets that must be compared, by their names and with commas between them, as CI sets it; without it, those that
/// the machine has.
const REQUIRED: &str = "EVENKEEL_TEST_INSTRUCTION_SETS";

/// Checks that the tests compare all instruction sets that the machine has according to Linux, and those that
/// `REQUIRED` names. It prints the compared and the missing ones even if it passes.
#[test]
fn every_instruction_set_of_the_machine_is_compared() {
    let named = |set: &InstructionSet| format!("{set:?}").to_lowercase();
    let compared: Vec<String> = InstructionSet::ALL.iter().filter(|set| set.is_available()).map(named).collect();
    let missing: Vec<String> = InstructionSet::ALL.iter().map(named).filter(|set| !compared.contains(set)).collect();
    // Written directly, since the harness hides the captured output of a test that passes.
    let line = format!("instruction sets: {} compared, missing here: {missing:?}\n", compared.join(", "));
    io::stderr().write_all(line.as_bytes()).expect("standard error is open");

    let required = env::var(REQUIRED).unwrap_or_default();
    for set in required.split(',').filter(|set| !set.is_empty()) {
        assert!(compared.iter().any(|compared| compared == set), "{REQUIRED} names {set}, which is not compared");
    }
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags =
        cpu.lines().find(|line| line.starts_with("flags")).map(|flags| flags.split_whitespace().collect::<Vec<_>>());
    if cfg!(target_arch = "x86_64") {
        let flags = flags.expect("Linux names the flags of the processor");
        let avx2 = ["avx2", "fma", "f16c"];
        let avx512 = ["avx512f", "avx512bw", "avx512dq", "avx512vl"];
        let has = |all: &[&str]| all.iter().all(|flag| flags.contains(flag));
        assert_eq!(InstructionSet::Avx2.is_available(), has(&avx2), "{flags:?}");
        assert_eq!(InstructionSet::Avx512.is_available(), has(&avx2) && has(&avx512), "{flags:?}");
    }
}

/// Compares the result of `work` on 1, 2, 3 and 16 threads and with every instruction set that the machine has.
pub(crate) fn everywhere<T: PartialEq + Send>(what: &str, work: impl Fn() -> T + Sync) {
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

/// Numbers whose sum depends on the order of the additions.
fn noise(dtype: DType, shape: &[usize]) -> Tensor {
    let mut state = shape.len() as u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / 2f64.powi(50) - 4.0
    };
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| next()).collect();
    tensor(dtype, shape, &values)
}

/// A shape for every path through the kernels: sets along and across the runs, smaller and larger than a piece, a part
/// and a chunk.
fn normalizations() -> Vec<(Normalization, Vec<usize>)> {
    let of = |kind, shape: &[usize]| {
        let groups = if kind == NormKind::Group { 4 } else { 0 };
        (Normalization { groups, ..Normalization::new(kind) }, shape.to_vec())
    };
    vec![
        of(NormKind::Layer, &[300, 301]),
        of(NormKind::Layer, &[2, 50_001]),
        of(NormKind::Layer, &[2, 16_384]),
        of(NormKind::Rms, &[7, 20_001]),
        of(NormKind::Rms, &[70, 1025]),
        of(NormKind::L2, &[7, 20_001]),
        of(NormKind::L2, &[70, 1025]),
        of(NormKind::L2, &[3, 400, 41]),
        of(NormKind::Instance, &[3, 5, 29, 31]),
        of(NormKind::Batch, &[4, 12, 40, 41]),
        of(NormKind::Batch, &[30_000, 3]),
        of(NormKind::Batch, &[30, 40, 1025]),
        of(NormKind::Batch, &[90, 700]),
        of(NormKind::Instance, &[2, 4, 101, 103]),
        of(NormKind::Group, &[2, 8, 71, 73]),
    ]
}

/// The results of the forward and the backward pass, with everything that they return.
fn normalize_both(
    spec: &Normalization,
    weight: TensorRef<'_>,
    input: TensorRef<'_>,
    grad: TensorRef<'_>,
) -> impl PartialEq + Debug + Send + use<> {
    let affine = Some(weight).filter(|_| spec.kind.has_affine());
    let parameters = NormParameters { weight: affine, bias: affine, ..NormParameters::default() };
    let forward = normalize_in_both(spec, &parameters, input).expect("valid");
    let backward = normalize_backward_in_both(spec, &parameters, input, grad).expect("valid");
    (forward, backward)
}

fn weight_of(spec: &Normalization, dtype: DType, shape: &[usize]) -> Tensor {
    noise(dtype, &[if spec.kind.has_channels() { shape[1] } else { shape[shape.len() - 1] }])
}

#[test]
fn normalization() {
    for (spec, shape) in normalizations() {
        for dtype in DType::ALL {
            let (input, grad) = (noise(dtype, &shape), noise(dtype, &shape));
            // A float64 weight has float64 gradients, which show every bit of the sums whatever the dtype of the input
            // is.
            let weight = weight_of(&spec, DType::F64, &shape);
            everywhere(&format!("{:?} {shape:?} {dtype}", spec.kind), || {
                normalize_both(&spec, weight.view(), input.view(), grad.view())
            });
        }
    }
}

/// Sets whose means are added again, exactly.
#[test]
fn normalization_of_large_elements_that_cancel() {
    for (spec, shape) in normalizations() {
        for dtype in [DType::F32, DType::F64, DType::Bf16] {
            let grad = noise(dtype, &shape);
            let mut numbers = noise(dtype, &shape).view().to_f64();
            let len = numbers.len();
            for i in (0..len / 2).step_by(5) {
                let large = 1e36 / 7f64.powi((i % 37) as i32);
                (numbers[i], numbers[len - 1 - i]) = (large, -large);
            }
            let input = tensor(dtype, &shape, &numbers);
            let weight = weight_of(&spec, DType::F64, &shape);
            everywhere(&format!("{:?} {shape:?} {dtype}", spec.kind), || {
                normalize_both(&spec, weight.view(), input.view(), grad.view())
            });
        }
    }
}

#[test]
fn running_statistics() {
    let (input, channels) = (noise(DType::F32, &[16, 5, 1001]), noise(DType::F32, &[5]));
    let var = tensor(DType::F32, &[5], &[0.5, 1.0, 1.5, 2.0, 2.5]);
    for kind in [NormKind::Batch, NormKind::Instance] {
        for training in [false, true] {
            let spec = Normalization { training: Some(training), ..Normalization::new(kind) };
            let running = NormParameters {
                running_mean: Some(channels.view()),
                running_var: Some(var.view()),
                ..NormParameters::default()
            };
            everywhere(&format!("{kind:?}, training {training}"), || {
                let forward = normalize_in_both(&spec, &running, input.view()).expect("valid");
                let backward = normalize_backward_in_both(&spec, &running, input.view(), input.view());
                (forward, backward.expect("valid"))
            });
        }
    }
}

fn dropouts() -> impl Iterator<Item = Dropout> {
    let kinds = [DropoutKind::Element, DropoutKind::Channel, DropoutKind::Alpha, DropoutKind::FeatureAlpha];
    let scaling = DropoutScaling::Inverted;
    let inverted = kinds.map(|kind| Dropout { p: 0.3, seed: 9, offset: 5, kind, scaling, channel_axis: None });
    let plain = Dropout { scaling: DropoutScaling::None, ..inverted[0] };
    // Also where runs are short, and where they are one element.
    let other_axes = [2, 1].map(|axis| Dropout { channel_axis: Some(axis), ..inverted[1] });
    inverted.into_iter().chain([plain]).chain(other_axes)
}

fn dropout_both(spec: &Dropout, input: TensorRef<'_>) -> impl PartialEq + Debug + Send + use<> {
    let forward = in_place::dropout_both(spec, input).expect("valid");
    (forward, in_place::dropout_backward_both(spec, input).expect("valid"))
}

#[test]
fn dropout_of_every_kind() {
    for dtype in DType::ALL {
        let input = noise(dtype, &[3, 5, 3_333]);
        for spec in dropouts() {
            everywhere(&format!("{spec:?} {dtype}"), || dropout_both(&spec, input.view()));
        }
    }
}

fn clippings() -> impl Iterator<Item = Clipping> {
    let clipping = |(mode, norm_type)| Clipping { norm_type: Some(norm_type), ..Clipping::new(mode, 1.0) };
    let norms = [1.0, 2.0, 2.5, f64::INFINITY].into_iter();
    let modes = norms.flat_map(|norm_type| [ClipMode::Norm, ClipMode::NormPerTensor].map(|mode| (mode, norm_type)));
    let held = [1.0, 2.0, f64::INFINITY].map(|order| Clipping { not_above: true, ..clipping((ClipMode::Norm, order)) });
    modes.chain([(ClipMode::Value, 2.0)]).map(clipping).chain(held)
}

#[test]
fn clipping_in_every_mode() {
    let len = [100_003, 17, 20_000, 0, 16_384];
    let dtypes = [DType::F32, DType::Bf16, DType::F64, DType::F32, DType::F16];
    let gradients: Vec<Tensor> = dtypes.iter().zip(len).map(|(&dtype, len)| noise(dtype, &[len])).collect();
    let views: Vec<TensorRef<'_>> = gradients.iter().map(Tensor::view).collect();
    for spec in clippings() {
        everywhere(&format!("{spec:?}"), || clip_both(&spec, &views).expect("valid"));
    }
}

/// Every half number, multiplied by a number just below 1.5 and by one above: many results lie right beside the middle
/// between two half numbers, and that middle is their nearest float32.
#[test]
fn half_numbers_are_rounded_once() {
    let all: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    for dtype in [DType::F16, DType::Bf16] {
        let input = TensorRef::new(dtype, &[1 << 16], &all).expect("two bytes for each");
        let expected = |factor: f64| -> Vec<u8> {
            let rounded = input.to_f64().into_iter().flat_map(|x| match dtype {
                DType::F16 => F16::from_f64(x * factor).0.to_le_bytes(),
                DType::Bf16 => Bf16::from_f64(x * factor).0.to_le_bytes(),
                DType::F32 | DType::F64 => unreachable!("not a half type"),
            });
            rounded.collect()
        };
        for p in [1.0 / 3.0, (1.0f64 / 3.0).next_up()] {
            let scaling = DropoutScaling::Inverted;
            let spec = Dropout { p, seed: 3, offset: 0, kind: DropoutKind::Channel, scaling, channel_axis: None };
            // A single channel, which the first draw of this seed keeps.
            let gradient = TensorRef::new(dtype, &[1, 1, 1 << 16], &all).expect("two bytes for each");
            let factor = 1.0 / (1.0 - p);
            everywhere("a half number times a factor", || {
                let got = dropout_backward(&spec, gradient, &Uninterrupted).expect("valid");
                assert!(got.data() == expected(factor), "{dtype} times {factor}");
            });
        }
    }
}
