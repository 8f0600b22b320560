//! The same bits on any number of threads, with any instruction set, at any address, alone or beside others.

use std::{
    env,
    fmt::Debug,
    fs,
    io::{self, Write as _},
    ops::Range,
    sync::Mutex,
};

use evenkeel_kernels::{
    ClipMode, Clipping, DType, Dropout, DropoutKind, DropoutScaling, NormKind, NormParameters, Normalization, Tensor,
    TensorRef, Uninterrupted, dropout_backward,
    half::{Bf16, F16},
    normalize,
    simd::{self, InstructionSet},
};
use proptest::prelude::*;
use rayon::ThreadPoolBuilder;

use super::{
    case::{cancelling_numbers, dtypes, tensor, wide_numbers},
    in_place::{self, clip_both, normalize_backward_in_both, normalize_in_both},
};

/// Held while a test forces an instruction set, which holds for the whole process.
static FORCED: Mutex<()> = Mutex::new(());

/// Instruction sets that must be compared, by their names and with commas between them, as CI sets it; without it, those that
/// the machine has.
const REQUIRED: &str = "EVENKEEL_TEST_INSTRUCTION_SETS";

/// What is compared is what the machine has, as Linux says, and what must be. Says which sets those are where it is seen
/// although the test passes.
#[test]
fn every_instruction_set_of_the_machine_is_compared() {
    let named = |set: &InstructionSet| format!("{set:?}").to_lowercase();
    let compared: Vec<String> = InstructionSet::ALL.iter().filter(|set| set.is_available()).map(named).collect();
    let missing: Vec<String> = InstructionSet::ALL.iter().map(named).filter(|set| !compared.contains(set)).collect();
    // Past the test's own output, which nobody sees.
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

/// On 1, 2, 3 and 16 threads and with every instruction set that the machine has.
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

/// Numbers that no two additions round alike.
fn noise(dtype: DType, shape: &[usize]) -> Tensor {
    let mut state = shape.len() as u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / 2f64.powi(50) - 4.0
    };
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| next()).collect();
    tensor(dtype, shape, &values)
}

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

/// Batch statistics of a large tensor are made of some channels after others.
#[test]
fn of_a_channel_in_a_large_tensor_and_alone() {
    // In slabs of several channels, of one, and of a page's breadth.
    for shape in [[30, 40, 1025], [2, 3, 700_001], [3000, 700, 2]] {
        let [samples, channels, len] = shape;
        for dtype in [DType::F32, DType::F64] {
            let (input, grad, weights) = (noise(dtype, &shape), noise(dtype, &shape), noise(dtype, &[channels]));
            let bytes = len * dtype.size();
            // What is of each channel, and what of each element.
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

/// A shape for every way through the kernels: sets along and across the runs, smaller and larger than a piece, a part and
/// a chunk.
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

/// Forward and backward, with everything that they return, in one number of bytes.
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
            // Its gradients are float64 then, and show every bit of the sums, whatever the input is.
            let weight = weight_of(&spec, DType::F64, &shape);
            everywhere(&format!("{:?} {shape:?} {dtype}", spec.kind), || {
                normalize_both(&spec, weight.view(), input.view(), grad.view())
            });
        }
    }
}

/// Means that are added again.
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

/// A tensor whose bytes start `offset` bytes into a buffer, whatever that is aligned to.
struct Misaligned {
    dtype: DType,
    shape: Vec<usize>,
    buffer: Vec<u8>,
    offset: usize,
}

impl Misaligned {
    fn new(tensor: &Tensor, offset: usize) -> Self {
        let buffer = [&vec![0xA5; offset][..], tensor.data(), &[0x5A; 8]].concat();
        Self { dtype: tensor.dtype(), shape: tensor.shape().to_vec(), buffer, offset }
    }

    fn view(&self) -> TensorRef<'_> {
        let data = &self.buffer[self.offset..self.buffer.len() - 8];
        TensorRef::new(self.dtype, &self.shape, data).expect("the bytes of a tensor")
    }
}

#[test]
fn where_the_bytes_begin_changes_nothing() {
    for dtype in DType::ALL {
        for (spec, shape) in normalizations() {
            let (input, grad, weight) = (noise(dtype, &shape), noise(dtype, &shape), weight_of(&spec, dtype, &shape));
            let expected = normalize_both(&spec, weight.view(), input.view(), grad.view());
            for offset in 0..8 {
                let moved = [&weight, &input, &grad].map(|tensor| Misaligned::new(tensor, offset));
                let [weight, input, grad] = moved.each_ref().map(Misaligned::view);
                assert!(normalize_both(&spec, weight, input, grad) == expected, "{:?} {dtype} at {offset}", spec.kind);
            }
        }
        let input = noise(dtype, &[2, 3, 2_777]);
        for offset in 0..8 {
            let moved = Misaligned::new(&input, offset);
            for spec in dropouts() {
                let expected = dropout_both(&spec, input.view());
                assert!(dropout_both(&spec, moved.view()) == expected, "{spec:?} {dtype} at {offset}");
            }
            for spec in clippings() {
                let clip = |gradient| clip_both(&spec, &[gradient]).expect("valid");
                assert!(clip(moved.view()) == clip(input.view()), "{spec:?} {dtype} at {offset}");
            }
        }
    }
}

/// Sets in memory order, each of which has its statistics to itself: of which kind, and how one row is shaped.
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

/// Every half number, multiplied by a number just below 1.5 and by one above: many results are right beside the middle
/// between two half numbers, which is what their nearest float32 is.
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
