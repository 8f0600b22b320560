//! Arrow Flight's `DoExchange`, which echoes chunks, beside a normalization of the same chunks.
//!
//! Both ends of Flight are pyarrow, whose C++ does the work: a server on one core and a client on the other.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
};

use tokio::runtime::Runtime;

use super::CHUNKS;
use crate::{
    Result,
    call::Call,
    case::{Case, Size},
    cli::StreamsArgs,
    contender::Contender,
    goals::Measured,
    process::SERVER_CORE,
    record::Record,
    server::Server,
    statistics::Summary,
};

/// The client's process, which inherits the load's core. Killed when dropped.
struct Client {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

pub(super) fn compare(
    evenkeel: &Server,
    arguments: &StreamsArgs,
    runtime: &Runtime,
    record: &mut Record,
) -> Result<()> {
    let (common, python) = (&arguments.common, &arguments.python);
    let script = python.peers.join("peer_flight.py").display().to_string();
    let server = Server::start("flight", SERVER_CORE, &python.python, &[&script, "serve"], &common.place.records)?;
    let mut client = Client::start(&python.python.display().to_string(), &script, &server)?;
    let bytes = Size::M64.bytes();
    // The goals against Flight begin at chunks of 256 KiB.
    for (chunk, name) in CHUNKS.into_iter().filter(|(chunk, _)| *chunk > 64 << 10) {
        let call = Arc::new(Call::normalize_stream(bytes, chunk));
        let mut ours = Contender::grpc("NormalizeStream", evenkeel, Case::single(Size::M64), call, runtime)?;
        let mut theirs = Vec::new();
        for round in 0..common.rounds {
            if round % 2 == 0 {
                ours.turn(common.turn(), runtime)?;
            }
            theirs.push(client.turn(chunk, common.seconds)?);
            if round % 2 == 1 {
                ours.turn(common.turn(), runtime)?;
            }
        }
        let ours: Vec<f64> = ours.turns.per_second.iter().map(|calls| calls * bytes as f64 / 1e9).collect();
        let case = format!("chunks of {name}");
        record.figure(&case, "NormalizeStream", "GB/s", Summary::of(ours.iter().copied()));
        record.figure(&case, "Arrow Flight's echo", "GB/s", Summary::of(theirs.iter().copied()));
        record.print(&case);
        record.goals.push(Measured::new(format!("flight-{name}"), Summary::of_ratios(&ours, &theirs)));
    }
    Ok(())
}

impl Client {
    fn start(python: &str, script: &str, server: &Server) -> Result<Self> {
        let mut child = Command::new(python)
            .args([script, "load", &server.address.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let commands = child.stdin.take().ok_or("standard input is piped")?;
        let answers = BufReader::new(child.stdout.take().ok_or("standard output is piped")?);
        Ok(Self { child, commands, answers })
    }

    /// Exchanges chunks of `chunk` bytes for some seconds, and returns the GB/s each way.
    fn turn(&mut self, chunk: usize, seconds: f64) -> Result<f64> {
        writeln!(self.commands, "{chunk} {seconds}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().parse().map_err(|_| format!("Flight's client has printed {line:?}"))?)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // This fails if the process has ended already, which turns report.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
