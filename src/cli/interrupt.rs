//! The signals that end a command on files before its end.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Added to a signal's number, as shells do, it is the exit code of what the signal has ended.
const EXIT_SIGNAL: i32 = 128;
/// Sent to a process that writes more to a file than it may; Linux's number.
const SIGXFSZ: i32 = 25;

/// SIGINT, SIGTERM and SIGHUP, caught from the moment this exists: a process that they ended at once would leave its
/// temporary files.
#[derive(Debug)]
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    /// Not waited for: while it is caught, a file that is too large is an error of the write.
    _too_large: Signal,
}

impl Interrupts {
    /// Catches the signals.
    ///
    /// # Errors
    /// If the handlers cannot be installed.
    pub fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            _too_large: signal(SignalKind::from_raw(SIGXFSZ))?,
        })
    }

    /// Completes at the first signal, with the exit code that it leads to.
    pub async fn received(&mut self) -> u8 {
        let kind = tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.hang_up.recv() => SignalKind::hangup(),
        };
        u8::try_from(EXIT_SIGNAL + kind.as_raw_value()).unwrap_or(u8::MAX)
    }
}
