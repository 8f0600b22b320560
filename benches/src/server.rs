//! A server under test: a process that prints the address on which it listens.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    Result,
    cli::{Common, Place},
};

/// A tensor of 64 MiB, its header, and room to spare.
const MAX_MESSAGE_BYTES: &str = "268435456";

/// A running server; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Kept open, so that a server that prints more does not fail.
    _stdout: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a program on some cores (as `taskset` has them) and waits until it has printed `listening on ADDRESS`.
    /// Its standard error goes to `<name>.log` in `logs`.
    pub(crate) fn start(name: &str, cores: &str, program: &Path, arguments: &[&str], logs: &Path) -> Result<Self> {
        fs::create_dir_all(logs)?;
        let log_path = logs.join(format!("{name}.log"));
        let log = fs::File::create(&log_path)?;
        let mut command = Command::new("taskset");
        command.args(["-c", cores]).arg(program).args(arguments);
        // Settings in the caller's environment must not reach the server.
        for (variable, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"EVENKEEL_")) {
            command.env_remove(variable);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or("standard output is piped")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        match line.trim_end().strip_prefix("listening on ").and_then(|address| address.parse().ok()) {
            Some(address) => Ok(Self { child, _stdout: stdout, address }),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                Err(format!("{name} did not start (it printed {line:?}); see {}", log_path.display()).into())
            }
        }
    }

    /// Starts evenkeel, with limits that no benchmark reaches.
    pub(crate) fn evenkeel(name: &str, cores: &str, flags: &[&str], common: &Common) -> Result<Self> {
        let mut always = vec!["--listen", "127.0.0.1:0", "--log-level", "warn"];
        // Eight calls of 64 MiB at a time are more than the budget's default.
        always.extend(["--max-message-bytes", MAX_MESSAGE_BYTES, "--max-bytes-in-flight", "0"]);
        Self::evenkeel_with(name, cores, &[&always[..], flags].concat(), &common.place)
    }

    /// Starts evenkeel with these flags alone.
    pub(crate) fn evenkeel_with(name: &str, cores: &str, flags: &[&str], place: &Place) -> Result<Self> {
        let program = match &place.server {
            Some(program) => program.clone(),
            None => beside("evenkeel")?,
        };
        Self::start(name, cores, &program, flags, &place.records)
    }

    /// Starts a server that is part of this program.
    pub(crate) fn own(name: &str, cores: &str, command: &str, common: &Common) -> Result<Self> {
        Self::start(name, cores, &std::env::current_exe()?, &[command], &common.place.records)
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Asks the server to stop, and waits until it has.
    pub(crate) fn stop(mut self) -> Result<ExitStatus> {
        kill_process(self.pid(), Signal::TERM)?;
        Ok(self.child.wait()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // This fails if the process has ended already, which failed calls report.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn beside(name: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name(name);
    if program.exists() { Ok(program) } else { Err(format!("{} is not there", program.display()).into()) }
}
