//! A server process that can be stopped, killed, held and started again.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, ChildStdout, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{environment::without_environment, pipe::Pipe, resident::memory, until::until_some};

/// Killed when dropped.
#[derive(Debug)]
pub(crate) struct Replica {
    child: Child,
    /// Kept open, so that it can print.
    _stdout: BufReader<Pipe<ChildStdout>>,
    pub(crate) address: SocketAddr,
    /// Its memory when it began to listen, in bytes.
    began: usize,
}

impl Replica {
    /// Starts a replica on a free port; returns when it listens.
    pub(crate) fn start() -> Self {
        let mut command = without_environment(env!("CARGO_BIN_EXE_evenkeel"));
        command.args(["--listen=127.0.0.1:0", "--log-level=warn", "--threads=2"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the binary starts");
        let mut stdout = BufReader::new(Pipe(child.stdout.take().expect("it is piped")));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("the address is printed, in text");
        let address = line.trim_end().strip_prefix("listening on ").expect("the first line says where");
        let address = address.parse().expect("an address");
        let began = memory(child.id(), "VmRSS").expect("the process lives");
        Self { child, _stdout: stdout, address, began }
    }

    /// By how much its memory has grown at most since it listened, in bytes.
    pub(crate) fn grown(&self) -> usize {
        memory(self.child.id(), "VmHWM").expect("the process lives").saturating_sub(self.began)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process lives");
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        until_some("the replica ends", async || self.child.try_wait().expect("it was started")).await
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        // Errors are ignored: the process has ended already in a test that passes.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
