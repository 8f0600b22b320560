//! The arithmetic of evenkeel: normalization, dropout and gradient clipping, without any protocol around it.
//!
//! Every operation keeps three promises:
//!
//! - **Right.** Float32, float16 and bfloat16 data is accumulated in float64 and rounded once, at the end.
//! - **The same bits.** Work is cut into chunks whose size depends on the shape alone, and partial results are
//!   combined along a fixed tree, so neither the number of threads nor the instruction set changes anything.
//! - **Stoppable.** An operation asks its [`Checkpoint`] between chunks whether to go on.
//!
//! ```
//! use evenkeel_kernels::{NormKind, NormParameters, Normalization, Tensor, Uninterrupted, normalize};
//!
//! let x = Tensor::from_array(&ndarray::array![[40000f32, 40001.0, 40002.0, 40003.0]]);
//! let spec = Normalization::new(NormKind::Layer);
//! let y = normalize(&spec, &NormParameters::default(), x.view(), false, &Uninterrupted)?.output;
//! let y = y.to_array::<f32>().expect("the input's dtype");
//! assert_eq!(y, ndarray::array![[-1.3416355, -0.4472118, 0.4472118, 1.3416355]].into_dyn());
//! # Ok::<(), evenkeel_kernels::Error>(())
//! ```
//!
//! Operations run in parallel on the Rayon pool they are called in ([`rayon::ThreadPool::install`]).
//!
//! | module | holds |
//! |---|---|
//! | [`normalize()`], [`normalize_backward`] | batch, layer, RMS, instance, group and L2 normalization |
//! | [`normalize_in_place`], [`normalize_backward_in_place`] | the same, in place of the input or of `grad_output` |
//! | [`NormalizationByParts`], [`NormalizationInOrder`] | normalization part by part, while the tensor is still being received |
//! | [`StatisticsMeter`], [`measure_statistics`] | statistics in parts that merge exactly |
//! | [`dropout()`], [`dropout_backward`] | dropout by NumPy's Philox stream |
//! | [`dropout_in_place`], [`dropout_backward_in_place`] | the same, in place of the input or of `grad_output` |
//! | [`DropoutByParts`], [`DropoutInOrder`] | dropout part by part, while the tensor is still being received |
//! | [`clip_gradients`], [`clip_gradients_in_place`] | clipping by norm and by value |
//! | [`ClipInOrder`] | clipping part by part, while the gradients are still being received |
//! | [`measure_gradients`] | a global norm in parts that merge exactly |
//! | [`Demand`] and the functions that return it | the memory that an operation will allocate, before it does |
//! | [`Tensor`], [`TensorRef`], [`TensorMut`], [`DType`], [`half`] | the arguments and results |
//! | [`philox`] | the random stream |
//! | [`simd`] | the choice of the instruction set |
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | set | the elements that share one mean and one variance, or one norm; a row, where they are neighbours in memory |
//! | run | the elements along a layout's innermost dimension: neighbours in memory |
//! | part | whole sets that are neighbours in memory, measured and written while they are in a core's cache; the smallest is a unit |
//! | tile | some channels of all samples: takes the place of a part for batch statistics, whose sets no part can hold |
//! | chunk | 16,384 neighbouring elements, which one thread computes before it asks the [`Checkpoint`] again |
//! | stretch | neighbouring elements, or sets with neighbouring numbers, that are taken together; a tile has one for each outermost index |
//! | piece | elements of one target of a sum, 16,384 at most, which are added in a fixed order; pieces are added as a tree |
//! | target | the thing that one sum belongs to: a set, or a place of weight and bias |
//! | block | 256 elements, which stay in the first-level cache from one loop to the next |
//! | lane | one of 16 accumulators, to which every 16th term is added |
//! | tail | the second of two float64 that hold one number: the mean is `mean + tail`; `low` in a `DoubleDouble` |

mod checkpoint;
mod clip;
mod demand;
mod dropout;
mod dtype;
mod error;
pub mod half;
mod in_out;
mod lanes;
mod norm;
mod normalize;
mod parallel;
pub mod simd;
mod tensor;
mod violations;

pub use checkpoint::{Cancelled, Checkpoint, Uninterrupted};
pub use clip::{
    ClipInOrder, ClipMode, ClipNeeds, ClipTotals, Clipped, ClippedPart, Clipping, clip_demand, clip_gradients,
    clip_gradients_in_place,
};
pub use demand::Demand;
pub use dropout::{
    Drawn, Dropout, DropoutByParts, DropoutInOrder, DropoutKind, DropoutScaling, Dropped, MaskWriter, PartMask,
    dropout, dropout_backward, dropout_backward_demand, dropout_backward_in_place, dropout_demand, dropout_in_place,
};
pub use dtype::{DType, Element, decode, encode};
pub use error::{Error, NonFinite};
pub use norm::measure_gradients;
pub use normalize::{
    KnownTensors, NormGradients, NormKind, NormParameters, Normalization, NormalizationByParts, NormalizationInOrder,
    Normalized, PartStatistics, Sent, StatisticsMeter, StatisticsPartial, measure_statistics, normalize,
    normalize_backward, normalize_backward_demand, normalize_backward_in_place, normalize_demand,
    normalize_in_order_demand, normalize_in_place, statistics_demand,
};
pub use tensor::{LengthMismatch, Tensor, TensorMut, TensorRef};
pub use violations::{Violation, Violations};

pub use evenkeel_exact::{GradientSums, NormOrder, NormPartial, SetStatistics, SignedSum, philox};
