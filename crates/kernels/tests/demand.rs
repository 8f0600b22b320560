//! No operation allocates more than its demand.
//!
//! The global allocator counts the bytes of each test apart: every test computes on a pool of its own, whose threads know
//! the counts they belong to.

#![expect(unsafe_code, reason = "an allocator is unsafe by its trait")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering},
};

use evenkeel_kernels::{
    ClipMode, Clipping, DType, Demand, Dropout, DropoutKind, DropoutScaling, Error, NormKind, NormParameters,
    Normalization, NormalizationByParts, NormalizationInOrder, PartStatistics, Tensor, Uninterrupted, clip_demand,
    clip_gradients, dropout, dropout_backward, dropout_backward_demand, dropout_demand, measure_statistics, normalize,
    normalize_backward, normalize_backward_demand, normalize_demand, normalize_in_order_demand, statistics_demand,
};

struct Counting;

/// The bytes that the threads of one pool have allocated.
struct Counts {
    now: AtomicUsize,
    /// The most at any time since this was set.
    most: AtomicUsize,
}

/// Counts begin far from 0, since a thread may free the bytes that another has allocated.
const BEGIN: usize = usize::MAX / 2;

/// The counts of each test; the first are of threads that belong to none.
static COUNTS: [Counts; 16] = [const { Counts { now: AtomicUsize::new(BEGIN), most: AtomicUsize::new(BEGIN) } }; 16];
/// The number of pools that have been made.
static POOLS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The place of this thread's counts.
    static POOL: Cell<usize> = const { Cell::new(0) };
}

fn counts() -> &'static Counts {
    &COUNTS[POOL.get()]
}

// SAFETY: every call goes to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let counts = counts();
        let now = counts.now.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        counts.most.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's guarantees are those that the system's allocator needs.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, address: *mut u8, layout: Layout) {
        counts().now.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's guarantees are those that the system's allocator needs.
        unsafe { System.dealloc(address, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The bytes that any operation may allocate besides: shapes, lists of axes, jobs of threads.
const LITTLE: usize = 64 << 10;

/// The result of `operation`, and the most bytes that it had allocated at any time, including the result.
fn most<T>(operation: impl FnOnce() -> T) -> (T, usize) {
    let counts = counts();
    let before = counts.now.load(Ordering::Relaxed);
    counts.most.store(before, Ordering::Relaxed);
    let result = operation();
    (result, counts.most.load(Ordering::Relaxed) - before)
}

/// Fails if an operation has allocated more than its demand and `output`, or less than a third of these where they are
/// much.
#[track_caller]
fn check(what: &str, demand: Demand, output: usize, taken: usize) {
    let threads = rayon::current_num_threads();
    let demanded = output + demand.results + demand.scratch;
    let beside = threads * Demand::SCRATCH_PER_THREAD + LITTLE;
    assert!(taken <= demanded + beside, "{what}: took {taken} of {demand:?} and {output}");
    let is_much = demanded > 2 * beside;
    assert!(!is_much || taken > demanded / 3, "{what}: took only {taken} of {demand:?} and {output}");
}

fn tensor(dtype: DType, shape: &[usize]) -> Tensor {
    let len = shape.iter().product::<usize>() * dtype.size();
    Tensor::from_bytes(dtype, shape.to_vec(), vec![0x3A; len]).expect("it fills the shape")
}

/// Float64 elements above 2^800: the kernels compute with a scaled copy of them.
fn extreme(shape: &[usize]) -> Tensor {
    let elements = (0..shape.iter().product::<usize>()).map(|at| (at % 7) as f64 * 1e250);
    let bytes = elements.flat_map(f64::to_le_bytes).collect();
    Tensor::from_bytes(DType::F64, shape.to_vec(), bytes).expect("it fills the shape")
}

fn check_normalizations(kind: NormKind, input: &Tensor) {
    let (dtype, shape) = (input.dtype(), input.shape());
    let groups = if kind == NormKind::Group { shape[1].max(1) / 2 } else { 0 };
    let spec =
        Normalization { groups: if kind == NormKind::Group { groups.max(1) } else { 0 }, ..Normalization::new(kind) };
    let spec = Normalization { training: Some(true), ..spec };
    let affine_shape = if kind.has_channels() {
        vec![shape[1]]
    } else {
        kind.default_axes(shape.len(), None).into_iter().map(|axis| shape[axis]).collect()
    };
    let (weight, running) = (tensor(DType::F32, &affine_shape), tensor(dtype, &affine_shape));
    let affine = NormParameters { weight: Some(weight.view()), bias: Some(weight.view()), ..Default::default() };
    let mut parameters = vec![NormParameters::default()];
    if kind.has_affine() {
        parameters.push(affine);
    }
    if kind.has_running_statistics() {
        let (mean, var) = (Some(running.view()), Some(running.view()));
        parameters.push(NormParameters { running_mean: mean, running_var: var, ..affine });
    }
    let double = tensor(DType::F64, &affine_shape);
    if kind.has_affine() && dtype != DType::F64 {
        parameters.push(NormParameters { weight: Some(double.view()), ..affine });
    }
    let gradient = kind.has_running_statistics().then(|| input.view());
    // Only float64, and one call: the memory for a set's sums and results is the same for every dtype.
    let measured = (dtype == DType::F64).then(|| statistics_demand(&spec, dtype, shape, gradient.is_some()).ok());
    let statistics = measured.flatten().map(|demand| {
        let (statistics, taken) = most(|| measure_statistics(&spec, input.view(), gradient, &Uninterrupted));
        check(&format!("{kind:?} measured {dtype} {shape:?}"), demand, 0, taken);
        statistics.expect("what has a demand can be computed")
    });
    if statistics.is_some() {
        let all = *parameters.last().expect("there are always some");
        parameters.push(NormParameters { statistics: statistics.as_ref(), ..all });
    }
    for parameters in parameters {
        for return_statistics in [false, true] {
            let what = format!(
                "{kind:?} {dtype} {shape:?} {return_statistics} {} {}",
                parameters.weight.is_some(),
                parameters.statistics.is_some()
            );
            let call = || normalize(&spec, &parameters, input.view(), return_statistics, &Uninterrupted);
            let Ok(demand) = normalize_demand(&spec, &parameters, dtype, shape, return_statistics) else {
                call().expect_err("what has no demand cannot be computed");
                continue;
            };
            let (result, taken) = most(call);
            let result = result.expect("what has a demand can be computed");
            let tensors = [&result.mean, &result.rstd, &result.running_mean, &result.running_var];
            let results: usize = tensors.into_iter().flatten().map(|tensor| tensor.data().len()).sum();
            assert_eq!(demand.results, results, "{what}");
            check(&what, demand, input.data().len(), taken);
        }
        let backward = || normalize_backward(&spec, &parameters, input.view(), input.view(), &Uninterrupted);
        if let Ok(demand) = normalize_backward_demand(&spec, &parameters, input.view(), input.view()) {
            let (result, taken) = most(backward);
            let result = result.expect("what has a demand can be computed");
            let results: usize =
                [&result.grad_weight, &result.grad_bias].into_iter().flatten().map(|it| it.data().len()).sum();
            assert_eq!(demand.results, results);
            check(&format!("{kind:?} backward {dtype} {shape:?}"), demand, input.data().len(), taken);
        }
    }
}

fn check_dropouts(kind: DropoutKind, shape: &[usize]) {
    for p in [0.0, 0.5, 1.0] {
        let spec = Dropout { p, seed: 7, offset: 0, kind, scaling: DropoutScaling::Inverted, channel_axis: None };
        let input = tensor(DType::F32, shape);
        for mask in [false, true] {
            let demand = dropout_demand(&spec, shape, mask).expect("it is right");
            let call = || dropout(&spec, input.view(), mask, &Uninterrupted).expect("it is right");
            let (result, taken) = most(call);
            assert_eq!(demand.results, result.mask.map_or(0, |mask| mask.len()));
            check(&format!("{kind:?} {shape:?} {mask}"), demand, input.data().len(), taken);
        }
        let demand = dropout_backward_demand(&spec, shape).expect("it is right");
        let backward = || dropout_backward(&spec, input.view(), &Uninterrupted).expect("it is right");
        check(&format!("{kind:?} backward {shape:?}"), demand, input.data().len(), most(backward).1);
    }
}

/// Runs `checks` on a new pool, whose threads count apart from all others.
fn on_threads(threads: usize, checks: impl FnOnce() + Send) {
    let pool = POOLS.fetch_add(1, Ordering::Relaxed) + 1;
    assert!(pool < COUNTS.len(), "each pool needs counts of its own");
    let builder = rayon::ThreadPoolBuilder::new().num_threads(threads).start_handler(move |_| POOL.set(pool));
    builder.build().expect("threads can be started").install(checks);
}

/// One thread, so that the memory that each of them may allocate hides little.
fn on_one_thread(checks: impl FnOnce() + Send) {
    on_threads(1, checks);
}

/// Several threads, which work on parts that are large beside the memory that each of them may allocate: each sample is a
/// part of its own, with very many sets or with a copy as large as the part.
#[test]
fn large_parts() {
    on_threads(3, check_large_parts);
}

fn check_large_parts() {
    let shape = [12, 2, 300_000];
    let spec = Normalization { axes: vec![1], ..Normalization::new(NormKind::Layer) };
    check_normalization(&spec, &tensor(DType::F32, &shape));
    check_normalization(&spec, &extreme(&shape));
    check_normalization(&Normalization::new(NormKind::Instance), &extreme(&shape));
}

/// Each part has one set.
#[test]
fn small_parts() {
    on_one_thread(check_small_parts);
}

fn check_small_parts() {
    let none = NormParameters::default();
    for dtype in [DType::F32, DType::F64] {
        for kind in [NormKind::Layer, NormKind::Rms, NormKind::Instance] {
            let input = tensor(dtype, if kind == NormKind::Instance { &[1, 300_000, 2] } else { &[300_000, 1] });
            let spec = Normalization::new(kind);
            let demand = normalize_demand(&spec, &none, dtype, input.shape(), true).expect("it is right");
            let mut output = vec![0; input.data().len()];
            let (result, taken) = most(|| {
                let parts = NormalizationByParts::new(&spec, &none, dtype, input.shape(), &Uninterrupted)?;
                let (unit, mut statistics) = (parts.unit_len(), PartStatistics::default());
                for (index, (input, output)) in input.data().chunks(unit).zip(output.chunks_mut(unit)).enumerate() {
                    let of_part = parts.normalize(index * unit, input, output, &Uninterrupted)?;
                    parts.gather(&mut statistics, of_part);
                }
                Ok::<_, Error>(parts.finish(&none, true, statistics))
            });
            let whole = normalize(&spec, &none, input.view(), true, &Uninterrupted).expect("it is right");
            assert_eq!(result.expect("it is right"), whole.map_output(|_| ()));
            check(&format!("{kind:?} {dtype} part by part"), demand, 0, taken);
        }
    }
}

/// The statistics of all sets are known before the elements.
#[test]
fn known_statistics() {
    on_one_thread(check_known_statistics);
}

fn check_known_statistics() {
    for dtype in [DType::F32, DType::F64] {
        for (kind, shape) in [(NormKind::Batch, [2, 200_000, 2]), (NormKind::Instance, [65_536, 8, 2])] {
            let running = tensor(dtype, &[shape[1]]);
            let (running_mean, running_var) = (Some(running.view()), Some(running.view()));
            let parameters = NormParameters { running_mean, running_var, ..NormParameters::default() };
            let spec = Normalization { training: Some(false), ..Normalization::new(kind) };
            for return_statistics in [false, true] {
                let demand = normalize_in_order_demand(&spec, &parameters, dtype, &shape, return_statistics);
                let demand = demand.expect("it is right");
                let (operation, begun) =
                    most(|| NormalizationInOrder::new(&spec, &parameters, dtype, &shape, &Uninterrupted));
                let operation = operation.expect("it is right");
                assert_eq!(operation.unit_len(), dtype.size(), "by running statistics, elements are independent");
                let (result, ended) =
                    most(|| operation.finish(&parameters, return_statistics, PartStatistics::default()));
                assert_eq!(result.mean.is_some(), return_statistics);
                let (taken, demanded) = (begun + ended, demand.scratch + demand.results);
                let what = format!("{kind:?} {dtype} {return_statistics}: {taken} of {demanded} bytes");
                assert!(taken <= demanded + LITTLE, "{what}");
                assert!(demanded < 3 * taken + LITTLE, "{what}");
            }
        }
    }
}

/// Sets of two elements, all of whose means are added again.
#[test]
fn exact_means() {
    let pairs = Normalization { axes: vec![0], ..Normalization::new(NormKind::Layer) };
    on_one_thread(|| {
        for dtype in [DType::F32, DType::F64] {
            check_normalization(&pairs, &cancelling(dtype, 1_200_000));
        }
    });
}

/// Two rows of elements of any size, the second the first's negative: each mean is added again exactly.
fn cancelling(dtype: DType, columns: usize) -> Tensor {
    let row = || (0..columns).map(|at| 1.375 * 2f64.powi((at % 200) as i32 - 100));
    let elements = row().chain(row().map(|x| -x));
    let bytes = if dtype == DType::F64 {
        elements.flat_map(f64::to_le_bytes).collect()
    } else {
        elements.flat_map(|x| (x as f32).to_le_bytes()).collect()
    };
    Tensor::from_bytes(dtype, vec![2, columns], bytes).expect("it fills the shape")
}

/// Without parameters and statistics, whose memory would hide that of parts.
fn check_normalization(spec: &Normalization, input: &Tensor) {
    let (dtype, shape, none) = (input.dtype(), input.shape(), NormParameters::default());
    let what = format!("{:?} {dtype} {shape:?}", spec.kind);
    let demand = normalize_demand(spec, &none, dtype, shape, false).expect("it is right");
    let (result, taken) = most(|| normalize(spec, &none, input.view(), false, &Uninterrupted));
    result.expect("what has a demand can be computed");
    check(&what, demand, input.data().len(), taken);
    let demand = normalize_backward_demand(spec, &none, input.view(), input.view()).expect("it is right");
    let (result, taken) = most(|| normalize_backward(spec, &none, input.view(), input.view(), &Uninterrupted));
    result.expect("what has a demand can be computed");
    check(&format!("{what} backward"), demand, input.data().len(), taken);
}

/// Very many sets, very large sets, none, and of no elements.
const SHAPES: [&[usize]; 12] = [
    &[300_000, 1],
    &[2, 200_000],
    &[1, 300_000],
    &[50_000, 8],
    &[300_000, 0],
    &[0, 300_000],
    &[300_000, 1, 0],
    &[400, 400, 2],
    &[2, 150_000, 2],
    &[20_000, 2, 8],
    &[8, 32, 28, 28],
    &[4, 6, 20_000],
];

fn check_kinds(dtype: DType, is_checked: impl Fn(NormKind) -> bool) {
    for kind in NormKind::ALL.into_iter().filter(|&kind| is_checked(kind)) {
        SHAPES.iter().filter(|shape| shape.len() > 2 || kind != NormKind::Instance).for_each(|shape| {
            check_normalizations(kind, &tensor(dtype, shape));
        });
    }
}

#[test]
fn normalizations_of_float32() {
    on_one_thread(|| check_kinds(DType::F32, |_| true));
}

#[test]
fn normalizations_of_float64_by_channels() {
    on_one_thread(|| check_kinds(DType::F64, NormKind::has_channels));
}

#[test]
fn normalizations_of_float64_along_axes() {
    on_one_thread(|| check_kinds(DType::F64, |kind| !kind.has_channels()));
}

#[test]
fn normalizations_of_extreme_elements_by_channels() {
    check_extreme_elements(NormKind::Batch);
}

#[test]
fn normalizations_of_extreme_elements_along_axes() {
    check_extreme_elements(NormKind::Layer);
}

#[test]
fn normalizations_of_extreme_elements_by_norms() {
    check_extreme_elements(NormKind::L2);
}

/// Copies are large beside the memory that each thread may have.
fn check_extreme_elements(kind: NormKind) {
    on_one_thread(|| check_normalizations(kind, &extreme(&[4, 2, 600_000])));
}

#[test]
fn dropouts() {
    let kinds = [DropoutKind::Element, DropoutKind::Channel, DropoutKind::Alpha, DropoutKind::FeatureAlpha];
    on_one_thread(|| {
        for kind in kinds {
            SHAPES.iter().for_each(|shape| check_dropouts(kind, shape));
            check_dropouts(kind, &[1 << 23, 1, 0]);
        }
    });
}

#[test]
fn clippings() {
    on_one_thread(|| {
        for tensors in [1, 20_000] {
            let gradients = vec![tensor(DType::F32, &[1]); tensors];
            let views: Vec<_> = gradients.iter().map(Tensor::view).collect();
            for mode in [ClipMode::Norm, ClipMode::Value, ClipMode::NormPerTensor] {
                let spec = Clipping::new(mode, 1e-6);
                let call = || clip_gradients(&spec, &views, &Uninterrupted).expect("it is right");
                check(&format!("{mode:?}"), clip_demand(&spec, tensors), 4 * tensors, most(call).1);
            }
        }
    });
}
