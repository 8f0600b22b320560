//! Changing the log level while the server runs: SIGHUP reads the configuration file again.
//!
//! Sending a signal needs the rights of the server's own user, so a client that merely reaches a port cannot flood the
//! log; and the file keeps the change for the next start. Without a file there is nothing to read, which is logged.

use std::{io, path::PathBuf, thread};

use procfs::process::Process;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

use crate::{
    config::{DEFAULT_LOG_LEVEL, Effective, Source},
    telemetry::Level,
};

/// The setting that is read again.
const KEY: &str = "log-level";

/// Reads the log level again at each SIGHUP.
#[derive(Debug)]
pub struct Reload {
    hangup: Signal,
    /// The configuration file. `None`: there is none.
    path: Option<PathBuf>,
    effective: Effective,
    level: Level,
}

impl Reload {
    /// Catches SIGHUP from here on; `path` is the configuration file. `None` if there is no file and the process was
    /// started with SIGHUP ignored, as `nohup` starts it: the signal stays ignored.
    ///
    /// # Errors
    /// If the handler cannot be installed.
    pub fn catch(path: Option<PathBuf>, effective: Effective, level: Level) -> io::Result<Option<Self>> {
        if path.is_none() && is_ignored(SignalKind::hangup()) {
            return Ok(None);
        }
        Ok(Some(Self { hangup: signal(SignalKind::hangup())?, path, effective, level }))
    }

    /// Waits for signals, for ever.
    pub async fn run(mut self) {
        while self.hangup.recv().await.is_some() {
            self.apply().await;
        }
    }

    async fn apply(&self) {
        let Some(path) = &self.path else {
            return tracing::warn!("there is no configuration file to read again; the log level stays");
        };
        // A flag or a variable overrides the file, and cannot have changed.
        match self.effective.source(KEY) {
            source @ (Source::Flag | Source::Environment(_)) => {
                return tracing::warn!(%source, "the log level is not the file's and stays");
            }
            Source::File(_) | Source::Default => {}
        }
        let changed = self.read(path.clone()).await.and_then(|directives| {
            let refused = |error| format!("{}: {error}", path.display());
            self.level.change(&directives).map_err(refused).map(|()| directives)
        });
        match changed {
            Ok(log_level) => tracing::info!(log_level, "read the log level again"),
            Err(error) => tracing::error!(error, "the log level stays as it was"),
        }
    }

    /// Reads the file on a thread of its own, since a file may block.
    async fn read(&self, path: PathBuf) -> Result<String, String> {
        let (sender, receiver) = oneshot::channel();
        let effective = self.effective.clone();
        let reading = move || {
            let read = effective.read_again(&path, KEY, DEFAULT_LOG_LEVEL).map_err(|error| error.to_string());
            // The receiver is gone at the end of the process.
            let _ = sender.send(read);
        };
        thread::Builder::new().name("read".to_owned()).spawn(reading).map_err(|error| error.to_string())?;
        receiver.await.unwrap_or_else(|_| Err("the file was not read".to_owned()))
    }
}

/// Whether the process was started with this signal ignored; `false` where that cannot be known.
pub(crate) fn is_ignored(signal: SignalKind) -> bool {
    let ignored = Process::myself().and_then(|process| process.status()).map_or(0, |status| status.sigign);
    let place = signal.as_raw_value() - 1;
    ignored >> place & 1 == 1
}
