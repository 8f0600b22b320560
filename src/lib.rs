//! The evenkeel server: normalization, dropout and gradient clipping over gRPC.
//!
//! There is no arithmetic here; that is in [`evenkeel_kernels`]. Dependencies point one way:
//! `main -> server -> direct -> service -> {wire, executor} -> kernels`.
//!
//! | module | holds |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`address`] | where a server listens |
//! | [`config`] | the server's settings, their flags and environment variables |
//! | [`server`] | the listening server: transport, health, reflection, drain |
//! | [`descriptors`] | the limit on open files, and how many connections it lets in |
//! | [`reload`] | the log level, read again at SIGHUP |
//! | [`shutdown`] | the signals that end the process |
//! | [`streams`] | standard streams that do not block |
//! | [`telemetry`] | logs |
//! | `direct` | the unary calls, around tonic's codec |
//! | `service` | the remote calls: decode, compute, encode |
//! | `ops` | the operations: what each needs, costs and computes |
//! | `wire` | protobuf messages to operations and back |
//! | `executor`, `estimate` | the bridge from tokio to the kernels, and where a call runs |
//! | `observe` | the record of each call: its count, its log line, its span |
//! | `metrics` | what the server counts of itself |
//! | `scrape` | the port that Prometheus asks |
//! | `otlp` | traces and metrics for a collector |
//! | `panics` | what a panic says |
//! | `watched`, `pem` | files that are read again when they change, and certificates in them |
//! | `read`, `lines` | reading files that may block, and those of lines that people write |
//! | `budget` | the bytes that calls hold in memory, and what each has reserved |
//! | `decoded_size` | what a message becomes in memory, while it comes |
//! | `prefix` | what precedes a message |
//! | `buffers` | large buffers that are used again |
//! | `counters` | what the server has done, in numbers |
//! | `setting` | what is wrong with a setting, and the files that settings name |
//! | `grpc` | what all who speak gRPC know: boxed responses, trailers |
//! | `error` | every way a call can fail, and its gRPC status |
//!
//! A program or a test that wants a server of its own starts one on a free port:
//!
//! ```
//! use evenkeel::{config::ServerConfig, server::Running};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), evenkeel::server::Error> {
//! let server = Running::start(ServerConfig::on_free_port()).await?;
//! assert!(server.url().starts_with("http://127.0.0.1:"));
//! server.shutdown_and_wait().await?;
//! # Ok(())
//! # }
//! ```

pub mod address;
mod budget;
mod buffers;
mod checkpoint_hook;
pub mod cli;
pub mod config;
mod counters;
mod decoded_size;
pub mod descriptors;
mod direct;
mod error;
mod estimate;
mod executor;
mod grpc;
mod lines;
mod metrics;
mod observe;
mod ops;
mod otlp;
mod panics;
mod pem;
mod priority;
mod read;
pub mod reload;
mod scrape;
pub mod server;
mod service;
mod setting;
pub mod shutdown;
pub mod streams;
pub mod telemetry;
mod watched;
mod wire;

#[doc(hidden)]
pub use checkpoint_hook::CheckpointHook;
#[doc(hidden)]
pub use direct::normalize_head;
