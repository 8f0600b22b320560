//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::{case::Size, soak::Fault};

#[derive(Debug, Parser)]
#[command(about = "The benchmarks of evenkeel; benches/run.sh runs them all.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) bench: Bench,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Normalize against tonic's default echo, a raw TCP echo, and evenkeel's own path through tonic's codec.
    Loopback(LoopbackArgs),
    /// The Rust client against itself with its path through tonic's codec.
    Client(LoopbackArgs),
    /// Normalize against grpcio with torch, and MLServer.
    Peers(PeersArgs),
    /// The latency of small calls, alone and beside large ones.
    Mixed(MixedArgs),
    /// The peak of memory under concurrent calls, its growth over many calls, and the memory of connections.
    Memory(MemoryArgs),
    /// Streams of tensors against unary calls and Arrow Flight, and the rate of one of many gigabytes.
    Streams(StreamsArgs),
    /// Mixed traffic for minutes: fails if anything grows or a response is wrong.
    Soak(SoakArgs),
    /// Times kernels on request, one command a line on standard input; `kernels.py` sends them.
    Kernels,
    /// Serves tonic's default echo on a free port.
    EchoTonic,
    /// Serves the raw TCP echo on a free port.
    EchoTcp,
}

/// The server, and where records go.
#[derive(Args, Clone, Debug)]
pub(crate) struct Place {
    /// The server to measure. Default: `evenkeel` beside this program.
    #[arg(long, value_name = "FILE")]
    pub(crate) server: Option<PathBuf>,
    /// Where records and the servers' logs are written.
    #[arg(long, value_name = "DIR", default_value = "target/benchmarks")]
    pub(crate) records: PathBuf,
}

/// The options of every benchmark but the soak.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    #[command(flatten)]
    pub(crate) place: Place,
    /// How often the contenders take turns.
    #[arg(long, default_value_t = 7)]
    pub(crate) rounds: usize,
    /// How long a turn is, in seconds.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) seconds: f64,
}

impl Common {
    pub(crate) fn turn(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

#[derive(Args, Debug)]
pub(crate) struct LoopbackArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The sizes to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "4k,256k,4m,64m")]
    pub(crate) sizes: Vec<Size>,
}

#[derive(Args, Debug)]
pub(crate) struct PeersArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The sizes to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "4k,256k,4m,64m")]
    pub(crate) sizes: Vec<Size>,
    #[command(flatten)]
    pub(crate) python: Python,
    /// A Python with MLServer, in an environment of its own.
    #[arg(long, value_name = "FILE")]
    pub(crate) mlserver_python: PathBuf,
}

/// The peers in Python.
#[derive(Args, Clone, Debug)]
pub(crate) struct Python {
    /// A Python with grpcio, grpcio-tools, torch and, for `streams`, pyarrow.
    #[arg(long, value_name = "FILE")]
    pub(crate) python: PathBuf,
    /// The folder that holds the peers' programs.
    #[arg(long, value_name = "DIR", default_value = "benches/peers")]
    pub(crate) peers: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct MixedArgs {
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Args, Debug)]
pub(crate) struct MemoryArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) python: Python,
    /// The number of 4 KiB requests over which memory must not grow.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) requests: u64,
    /// Measure only the memory of open connections.
    #[arg(long)]
    pub(crate) connections: bool,
}

#[derive(Args, Debug)]
pub(crate) struct StreamsArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) python: Python,
    /// The GiB of the long stream.
    #[arg(long, default_value_t = 8)]
    pub(crate) gib: u64,
}

#[derive(Args, Debug)]
pub(crate) struct SoakArgs {
    #[command(flatten)]
    pub(crate) place: Place,
    /// How long the traffic lasts, in seconds.
    #[arg(long, default_value_t = 600)]
    pub(crate) seconds: u64,
    /// Cause a fault, which the soak must find.
    #[arg(long, value_enum)]
    pub(crate) fault: Option<Fault>,
}
