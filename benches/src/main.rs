//! Measures evenkeel's speed and memory, beside the cost of moving the bytes and beside other implementations.
//!
//! Each benchmark starts the servers that it compares, alternates between them in one run, checks their responses,
//! prints ratios beside their goals (`goals.json`) and writes a record for `report.py`. `benches/README.md` describes
//! each benchmark and how to read it.
#![expect(clippy::print_stdout, reason = "a benchmark's output is its standard output")]

mod alternate;
mod burst;
mod call;
mod case;
mod cli;
mod client;
mod contender;
mod data;
mod echo;
mod goals;
mod kernels;
mod kserve;
mod loopback;
mod memory;
mod mixed;
mod peers;
mod process;
mod record;
mod server;
mod soak;
mod statistics;
mod streams;
mod tcp;

use std::{error::Error, process::ExitCode};

use clap::Parser as _;

use cli::{Bench, Cli};

/// An error that stops a benchmark: a server does not start, a call fails, a response is wrong.
type Failure = Box<dyn Error + Send + Sync>;
type Result<T> = std::result::Result<T, Failure>;

fn main() -> ExitCode {
    let done = match Cli::parse().bench {
        Bench::Loopback(arguments) => loopback::run(&arguments),
        Bench::Client(arguments) => client::run(&arguments),
        Bench::Peers(arguments) => peers::run(&arguments),
        Bench::Mixed(arguments) => mixed::run(&arguments),
        Bench::Memory(arguments) => memory::run(&arguments),
        Bench::Streams(arguments) => streams::run(&arguments),
        Bench::Soak(arguments) => soak::run(&arguments),
        Bench::Kernels => kernels::answer(),
        Bench::EchoTonic => echo::serve(),
        Bench::EchoTcp => tcp::serve(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("evenkeel-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}
