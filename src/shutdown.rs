//! The signals that end the process, and the time in which it ends.

use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::Duration,
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag, low_level,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{config::ServerConfig, otlp};

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

/// The most time from the first signal to the end of the process: a second beyond what SECURITY.md promises for a drain.
pub fn time_to_end(config: &ServerConfig) -> Duration {
    let flush = if config.otlp.endpoint.is_some() { otlp::FLUSH_TIMEOUT } else { Duration::ZERO };
    config.drain_timeout + Duration::from_secs(2) + flush
}

/// Ends the process with code 1 when `time` is over, unless it has ended before.
///
/// A drain is timed by the runtime, whose timers need a thread of it that is free. This is a thread of its own: it ends the process
/// also if all others compute or are blocked.
///
/// # Errors
/// If the thread cannot be started.
pub fn end_within(time: Duration) -> io::Result<()> {
    /// The time for the last line of the log.
    const LAST_LINE: Duration = Duration::from_millis(50);
    #[expect(clippy::disallowed_methods, reason = "the time is the event, and the thread has nothing else to do")]
    let end = move || {
        thread::sleep(time);
        tracing::error!(?time, "the process did not end within this time after it was asked to stop, and ends at once");
        thread::sleep(LAST_LINE);
        low_level::exit(1);
    };
    thread::Builder::new().name("watchdog".to_owned()).spawn(end).map(drop)
}

#[cfg(test)]
mod tests {
    use std::{env, hint, process::Command, time::Instant};

    use super::*;

    /// The variable that makes this test the process that is ended.
    const IS_ENDED: &str = "EVENKEEL_TEST_IS_ENDED";
    const TIME: Duration = Duration::from_millis(300);

    /// A runtime whose only thread is busy fires no timer, and its process ends in time.
    #[test]
    fn a_process_whose_threads_are_busy_ends() {
        if env::var_os(IS_ENDED).is_some() {
            end_within(TIME).expect("a thread can be started");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it can be made");
            runtime.block_on(async {
                loop {
                    hint::spin_loop();
                }
            });
        }
        let test = "shutdown::tests::a_process_whose_threads_are_busy_ends";
        let begun = Instant::now();
        let mut ended = Command::new(env::current_exe().expect("it has a path"));
        let ended = ended.args(["--exact", test]).env(IS_ENDED, "1").output().expect("it can be run");
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        assert!(begun.elapsed() >= TIME);
    }
}
