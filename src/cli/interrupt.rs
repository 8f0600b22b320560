//! The signals that end a command on files before its end.

use std::{
    future, io,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::reload::is_ignored;

/// The exit code of a command that a signal has ended is this and the signal's number, as in a shell.
const EXIT_SIGNAL: i32 = 128;
/// The number that Linux gives the signal for a write beyond the limit on a file's size.
const SIGXFSZ: i32 = 25;

/// How far a command on files has come, for the message if it is interrupted. Clones share the stage.
#[derive(Clone, Debug, Default)]
pub struct Stage(Arc<AtomicU8>);

/// Nothing was written.
const BEGUN: u8 = 0;
/// A result is on its way to a pipe, a device or standard output.
const DELIVERED: u8 = 1;
/// Files are being given their names, all or none of them.
const PLACED: u8 = 2;
/// All results are where they should be.
const DONE: u8 = 3;
/// The command was interrupted, and writes nothing more.
const INTERRUPTED: u8 = 4;

impl Stage {
    /// Called before a result is delivered.
    ///
    /// # Errors
    /// The command was interrupted: nothing may be delivered any more.
    pub(super) fn delivers(&self) -> io::Result<()> {
        if self.reaches(DELIVERED) { Ok(()) } else { Err(io::Error::other("the command was interrupted")) }
    }

    /// Called before files are given their names. If the command was interrupted, this never completes: the command is dropped.
    pub(super) async fn places(&self) {
        if !self.reaches(PLACED) {
            future::pending::<()>().await;
        }
    }

    pub(super) fn is_done(&self) {
        self.reaches(DONE);
    }

    /// The answer is false if the command was interrupted before.
    fn reaches(&self, stage: u8) -> bool {
        let next = |now| (now != INTERRUPTED).then_some(stage);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    /// Interrupts the command, which then delivers nothing more and gives no file its name, unless it has begun to name them. Returns
    /// what it has written.
    pub fn interrupt(&self) -> &'static str {
        let next = |now| matches!(now, BEGUN | DELIVERED).then_some(INTERRUPTED);
        let (Ok(reached) | Err(reached)) = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        match reached {
            DONE => "everything was written, but the report was not printed whole",
            PLACED => "either all files were written, or none was",
            DELIVERED => "part of the result may have been delivered, and no file was written",
            _ => "nothing was written",
        }
    }
}

/// SIGINT, SIGTERM, SIGQUIT and SIGHUP, caught from the moment this exists: a process that they ended at once would leave its
/// temporary files.
#[derive(Debug)]
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    /// `None`: the process was started with SIGQUIT ignored, as a shell script starts a command in the background.
    quit: Option<Signal>,
    /// `None`: the process was started with SIGHUP ignored, as `nohup` starts it.
    hang_up: Option<Signal>,
    /// Not waited for: since it is caught, a write beyond the limit on a file's size is an error and does not end the
    /// process.
    _too_large: Signal,
}

impl Interrupts {
    /// Catches the signals.
    ///
    /// # Errors
    /// If the handlers cannot be installed.
    pub fn catch() -> io::Result<Self> {
        let unless_ignored = |kind| if is_ignored(kind) { Ok(None) } else { signal(kind).map(Some) };
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quit: unless_ignored(SignalKind::quit())?,
            hang_up: unless_ignored(SignalKind::hangup())?,
            _too_large: signal(SignalKind::from_raw(SIGXFSZ))?,
        })
    }

    /// Completes at the first signal, with the exit code that it leads to.
    pub async fn received(&mut self) -> u8 {
        let Self { interrupt, terminate, quit, hang_up, _too_large: _ } = self;
        let kind = tokio::select! {
            _ = interrupt.recv() => SignalKind::interrupt(),
            _ = terminate.recv() => SignalKind::terminate(),
            () = caught(quit) => SignalKind::quit(),
            () = caught(hang_up) => SignalKind::hangup(),
        };
        u8::try_from(EXIT_SIGNAL + kind.as_raw_value()).unwrap_or(u8::MAX)
    }
}

/// Completes when the signal comes, if it is caught.
async fn caught(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => future::pending().await,
    }
}
