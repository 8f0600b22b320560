//! The signals that end the process.

use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The exit code of a process that a signal has ended is this and the signal's number, as in a shell: 143 for SIGTERM,
/// 130 for SIGINT.
const BY_SIGNAL: i32 = 128;

/// SIGTERM and SIGINT, caught from the moment this exists. The first asks the server to stop. The second, of either, ends the
/// process at once, whatever its threads do: the handler itself does so.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Catches the signals: from here on the first no longer ends the process by itself.
    ///
    /// # Errors
    /// If the handlers cannot be installed.
    pub fn catch() -> io::Result<Self> {
        let is_asked = Arc::<AtomicBool>::default();
        for signal in [SIGTERM, SIGINT] {
            // In this order, so that a signal's handler looks at the flag before it sets it.
            flag::register_conditional_shutdown(signal, BY_SIGNAL + signal, Arc::clone(&is_asked))?;
            flag::register(signal, Arc::clone(&is_asked))?;
        }
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Completes at the first signal, also one that came before the call.
    pub async fn received(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => tracing::info!(signal = "SIGTERM", "asked to stop; a second signal ends at once"),
            _ = self.interrupt.recv() => tracing::info!(signal = "SIGINT", "asked to stop; a second signal ends at once"),
        }
    }
}
