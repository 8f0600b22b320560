//! A load generator for gRPC: one prepared call, made again and again over some connections.
//!
//! A general client would be the bottleneck: from 256 KiB up, h2 takes longer than the fastest of the servers. A
//! [`Connection`] writes prepared headers and a prepared body without a copy, and reads of an answer its length and its
//! status, or compares its bytes with those of the first answer ([`Reference`]).
//!
//! A [`Pace`] says when calls begin: in a closed loop as soon as another has ended, in an open loop at the times of a
//! [`Schedule`], whether others have ended or not. In an open loop the latency of a call counts from the time of the
//! schedule, so that a server that stops for a second is slow for every call that was due in that second, and not only
//! for the few that were on their way.
//!
//! `evenkeel load` and the benchmarks share the crate. It knows neither tonic nor the contract.

mod alarm;
mod answer;
mod connection;
mod cpu;
mod ended;
mod frame;
mod hpack;
mod huffman;
mod latencies;
mod pace;
mod request;
mod schedule;
mod timeline;
mod worker;

pub use answer::{Kind, Reference};
pub use connection::{Connection, Duplex};
pub use cpu::cpu_seconds;
pub use ended::{Ended, Lost, Outcome, Record, code_name};
pub use latencies::Latencies;
pub use pace::{Pace, Until};
pub use request::Request;
pub use schedule::{Schedule, Shape, Unending};
pub use timeline::{Bin, Timeline};
pub use worker::Worker;
