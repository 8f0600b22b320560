//! Changing the log level while the server runs: SIGHUP reads the configuration file again.
//!
//! A signal needs the rights of the server's own user, so that nobody who merely reaches a port can flood the log, and the
//! file keeps what was changed for the next start. Without a file SIGHUP ends the process, as it ends any other.

use std::{io, path::PathBuf};

use tokio::signal::unix::{Signal, SignalKind, signal};

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
    path: PathBuf,
    effective: Effective,
    level: Level,
}

impl Reload {
    /// Catches SIGHUP from here on; `path` is the configuration file.
    ///
    /// # Errors
    /// If the handler cannot be installed.
    pub fn catch(path: PathBuf, effective: Effective, level: Level) -> io::Result<Self> {
        Ok(Self { hangup: signal(SignalKind::hangup())?, path, effective, level })
    }

    /// Waits for signals, for ever.
    pub async fn run(mut self) {
        while self.hangup.recv().await.is_some() {
            self.apply();
        }
    }

    fn apply(&self) {
        // What counts more than the file did not change, and cannot.
        match self.effective.source(KEY) {
            source @ (Source::Flag | Source::Environment(_)) => {
                return tracing::warn!(%source, "the log level is not the file's and stays");
            }
            Source::File(_) | Source::Default => {}
        }
        let read = self.effective.read_again(&self.path, KEY, DEFAULT_LOG_LEVEL).map_err(|error| error.to_string());
        let changed = read.and_then(|directives| {
            let refused = |error| format!("{}: {error}", self.path.display());
            self.level.change(&directives).map_err(refused).map(|()| directives)
        });
        match changed {
            Ok(log_level) => tracing::info!(log_level, "read the log level again"),
            Err(error) => tracing::error!(error, "the log level stays as it was"),
        }
    }
}
