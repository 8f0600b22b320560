//! Starts programs for tests, without the environment of the tests and without ignored signals.
//!
//! `EVENKEEL_` and `OTEL_` variables are settings, `COLUMNS` and `NO_COLOR` change the output, `SSL_CERT_FILE` changes the
//! authorities that are trusted, and later versions may read others. So programs get only the variables that they need.

use std::{
    env,
    ffi::OsStr,
    fs,
    process::Command,
    sync::{Arc, Once},
};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

/// The variables that a program needs to find programs, libraries and folders, and the path of a coverage report.
const NEEDED: [&str; 5] = ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "LLVM_PROFILE_FILE"];

/// A command for the program, with only the variables that it needs, and with no signal ignored.
pub fn without_environment(program: impl AsRef<OsStr>) -> Command {
    catch_ignored_signals();
    let mut command = Command::new(program);
    command.env_clear().envs(NEEDED.into_iter().filter_map(|name| Some((name, env::var_os(name)?))));
    command
}

/// Catches the signals that this process ignores, and does nothing about them.
///
/// A process ignores signals under `nohup` or in the background of a shell script. A program that it starts would inherit that,
/// and go on where a test interrupts it. Signals that the process catches have their default effect in the program.
fn catch_ignored_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for signal in ignored_signals() {
            signal_hook::flag::register(signal, Arc::default()).expect("a signal of these can be caught");
        }
    });
}

/// The signals that end a program and that this process ignores. None where the kernel has no `/proc`.
fn ignored_signals() -> impl Iterator<Item = i32> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    [SIGHUP, SIGINT, SIGQUIT, SIGTERM].into_iter().filter(move |signal| mask & 1 << (signal - 1) != 0)
}
