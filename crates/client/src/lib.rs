//! A client of evenkeel: normalization, dropout and gradient clipping on [`ndarray`] arrays, computed by a server.
//!
//! ```
//! use evenkeel_client::{Client, NormKind};
//! use ndarray::array;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = evenkeel::server::Running::start(evenkeel::config::ServerConfig::on_free_port()).await?;
//! # let url = server.url();
//! let client = Client::connect(url).await?; // http://127.0.0.1:50051
//! let x = array![[1.0_f32, 2.0, 3.0], [10.0, 20.0, 30.0]];
//! let normalized = client.normalize(&x).kind(NormKind::Layer).eps(1e-6).send().await?;
//! assert_eq!(normalized.axes, [1]);
//! assert!(normalized.output.row(0).sum().abs() < 1e-6);
//! # Ok(())
//! # }
//! ```
//!
//! Arrays of [`f32`], [`f64`], [`half::f16`] and [`half::bf16`] go in, of any number of dimensions and any memory
//! layout, owned, borrowed or as views; an owned array in standard layout is sent without being copied first. The
//! result has the type and the number of dimensions of the input. Tensors beside the input (weights, running
//! statistics, gradients to clip) may be of other element types: they are [`Tensor`]s, into which every array converts.
//!
//! Every call is a builder that ends in `send()`. The server refuses arguments that do not fit, and the call returns
//! [`Error::InvalidArgument`] with the names of the fields.
//!
//! Arrays may be larger than the server's largest message: they are sent as a stream then, except for the gradients of a
//! normalization. The client asks the server for its limits once, before the first call of more than a kilobyte. A tensor that is
//! larger than memory comes from a reader and goes to a writer ([`TensorReader`], [`TensorSource`]). A call that is dropped before its
//! end is cancelled on the server.
//!
//! `https://` addresses need the feature `tls`. By default the client trusts the authorities that the system trusts;
//! [`tls_ca`](Builder::tls_ca) gives others. The [token](Builder::token) goes to another machine only encrypted.
//!
//! The feature `testing` starts servers for the tests of a program (`testing::TestServer`).
//!
//! | call | does |
//! |---|---|
//! | [`Client::normalize`], [`Client::normalize_backward`] | batch, layer, RMS, instance, group, L2 normalization |
//! | [`Client::dropout`], [`Client::dropout_backward`] | dropout by a mask that any program can make again |
//! | [`Client::dropout_stream`], [`Client::dropout_backward_stream`] | the same for files, other readers, and views |
//! | [`Client::normalize_stream`] | normalization likewise, in one pass, or in two that need no memory |
//! | [`Client::clip_gradients`] | clipping by global norm, by value, by each tensor's norm |
//! | [`Client::clip_gradients_stream`] | the same for gradients from readers, in one pass or in two |
//! | [`Client::measure_gradients`] | a norm of gradients that live on several machines |
//! | [`Client::measure_statistics`] | statistics of a tensor that is cut over several machines |
//! | [`Client::measure_gradients_stream`], [`Client::measure_statistics_stream`] | the same for readers |
//! | [`Client::server_info`] | the server's version, its limits and what it can do |
//! | [`keep_mask`] | the mask of a dropout, computed here |

mod builder;
mod call;
mod client;
mod clip;
mod codec;
mod collecting;
mod convert;
mod deadline;
mod direct;
mod dropout;
mod element;
mod error;
mod fault;
mod keep_mask;
mod limits;
mod measure;
mod messages;
mod normalize;
mod reset;
mod retry;
mod security;
mod server_info;
mod sets;
mod statistics;
mod stream;
mod tensor;
mod tensor_reader;
mod tensor_source;
#[cfg(feature = "testing")]
pub mod testing;

pub use builder::Builder;
pub use client::Client;
pub use clip::{ClipGradients, ClipGradientsStream, ClipInput, ClipStreamInput, Clipped, ClippedStream, Gradient};
pub use dropout::{
    Dropout, DropoutBackward, DropoutBackwardStream, DropoutKind, DropoutScaling, DropoutStream, Dropped, DroppedStream,
};
pub use element::{DType, Element};
pub use error::{Error, FieldViolation, NonFinite};
pub use keep_mask::keep_mask;
pub use measure::{InvalidNormPartial, MeasureGradients, MeasureGradientsStream, MergeError, NormPartial};
pub use normalize::{
    NormKind, Normalize, NormalizeBackward, NormalizeBackwardInput, NormalizeGradients, NormalizeInput,
    NormalizeStream, NormalizeStreamInput, Normalized, NormalizedStream,
};
#[cfg(feature = "tls")]
#[doc(hidden)]
pub use security::Access;
pub use server_info::ServerInfo;
pub use statistics::{
    InvalidStatisticsPartial, MeasureStatistics, MeasureStatisticsInput, MeasureStatisticsStream,
    MeasureStatisticsStreamInput, StatisticsMergeError, StatisticsPartial,
};
pub use tensor::{LengthMismatch, Mismatch, Tensor};
pub use tensor_reader::{ArrayReader, TensorReader};
pub use tensor_source::{ArrayOpener, BoxReader, GradientSource, Once, Open, TensorOpener, TensorSource};

pub use half;
pub use ndarray;

/// The programs of the README are compiled with those of the documentation.
#[cfg(all(doctest, feature = "testing"))]
#[doc = include_str!("../README.md")]
struct Readme;
