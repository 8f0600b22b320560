//! The evenkeel server: normalization, dropout and gradient clipping over gRPC.
//!
//! There is no arithmetic here; that is in [`evenkeel_kernels`]. Dependencies point one way:
//! `program -> server -> direct -> service -> {wire, executor} -> kernels`.
//!
//! | module | holds |
//! |---|---|
//! | `program` | what the binary does: a command, and its exit code |
//! | [`cli`] | the command line |
//! | [`address`] | the address that a server listens on |
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
//! | `executor`, `estimate` | the bridge from tokio to the kernels, and the estimate that decides where a call runs |
//! | `observe` | the record of each call: its count, its log line, its span |
//! | `metrics` | the server's metrics |
//! | `scrape` | the endpoint that Prometheus scrapes |
//! | `otlp` | traces and metrics for a collector |
//! | `panics` | the message of a panic |
//! | `watched`, `pem` | files that are read again when they change, and certificates in them |
//! | `read`, `lines` | reading files that may block, and those of lines that people write |
//! | `budget` | the bytes that calls hold in memory, and what each has reserved |
//! | `decoded_size` | the memory that a message takes when it is decoded |
//! | `buffers` | large buffers that are used again |
//! | `counters` | the numbers of connections and of bytes that calls hold |
//! | `priority` | the priority of compute threads |
//! | `instruction_set` | the names of instruction sets |
//! | `self_check` | every operation on fixed tensors, beside golden digests |
//! | `machine` | what the machine gives to this process |
//! | `shorten` | the ends of texts that are too long to be shown whole |
//! | `checkpoint_hook` | the hook with which tests hold operations |
//! | `guest` | a service that checks have a server carry beside its own |
//! | `setting` | the error of a setting, and the files that settings name |
//! | `grpc` | the parts of gRPC that several modules share: methods, middleware, boxed responses, trailers |
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
mod guest;
mod instruction_set;
mod json;
mod lines;
mod machine;
mod metrics;
mod observe;
mod ops;
mod otlp;
mod owning;
mod panics;
mod pem;
mod priority;
mod program;
mod read;
pub mod reload;
mod scrape;
mod self_check;
pub mod server;
mod service;
mod setting;
mod shorten;
pub mod shutdown;
pub mod streams;
pub mod telemetry;
mod watched;
mod wire;

#[doc(hidden)]
pub use checkpoint_hook::CheckpointHook;
#[doc(hidden)]
pub use direct::normalize_head;
#[doc(hidden)]
pub use guest::Guest;
#[doc(hidden)]
pub use json::JsonTrial;
#[doc(hidden)]
pub use program::run_program;
