//! The arithmetic of evenkeel: normalization, dropout and gradient clipping, without any protocol around it.
//!
//! Every operation keeps three promises:
//!
//! - **Right.** Float32, float16 and bfloat16 data is accumulated in float64 and rounded once, at the end.
//! - **The same bits.** Work is cut into chunks whose size depends on the shape alone, and partial results are
//!   combined along a fixed tree, so the number of threads changes nothing.
//! - **Stoppable.** A [`Checkpoint`] is asked between chunks.
//!
//! Operations run in parallel on the Rayon pool they are called in ([`rayon::ThreadPool::install`]).
//!
//! | module | holds |
//! |---|---|
//! | [`normalize()`], [`normalize_backward`] | batch, layer, RMS, instance, group normalization |
//! | [`dropout()`], [`dropout_backward`] | dropout by NumPy's Philox stream |
//! | [`clip_gradients`] | clipping by norm and by value |
//! | [`Tensor`], [`TensorRef`], [`DType`], [`half`] | what they work on |
//! | [`philox`] | the random stream |

mod checkpoint;
mod clip;
mod dropout;
mod dtype;
mod error;
pub mod half;
mod normalize;
mod philox;
mod tensor;

pub use checkpoint::{Cancelled, Checkpoint, Uninterrupted};
pub use clip::{ClipMode, Clipped, Clipping, clip_gradients};
pub use dropout::{Dropout, DropoutKind, DropoutScaling, Dropped, dropout, dropout_backward};
pub use dtype::{DType, Element, decode, encode};
pub use error::Error;
pub use normalize::{
    NormGradients, NormKind, NormParameters, Normalization, Normalized, normalize, normalize_backward,
};
pub use tensor::{LengthMismatch, Tensor, TensorRef};
