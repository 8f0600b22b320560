//! Programs that see nothing of the environment of whoever runs the tests, nor inherit ignored signals: for every test that
//! starts one.
//!
//! `EVENKEEL_` and `OTEL_` variables are settings, `COLUMNS` and `NO_COLOR` change what is printed, `SSL_CERT_FILE` whom is
//! trusted, and others may come: what is not known to be needed is left out.

use std::{
    env,
    ffi::OsStr,
    fs,
    process::Command,
    sync::{Arc, Once},
};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

/// What a program needs to run at all, and where it may write; and where a coverage report is to go.
const NEEDED: [&str; 5] = ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "LLVM_PROFILE_FILE"];

/// The program, with the variables that it needs alone, and with no signal ignored.
pub fn without_environment(program: impl AsRef<OsStr>) -> Command {
    catch_ignored_signals();
    let mut command = Command::new(program);
    command.env_clear().envs(NEEDED.into_iter().filter_map(|name| Some((name, env::var_os(name)?))));
    command
}

/// A program inherits the signals that this process ignores, as it does under `nohup` or in the background of a shell script,
/// and would go on where a test interrupts it. Signals that this process catches are the program's own: so those that are
/// ignored are caught, and nothing comes of it.
fn catch_ignored_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for signal in ignored_signals() {
            signal_hook::flag::register(signal, Arc::default()).expect("a signal of these can be caught");
        }
    });
}

/// Those of the signals that end a program which this process ignores, where the kernel tells.
fn ignored_signals() -> impl Iterator<Item = i32> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    [SIGHUP, SIGINT, SIGQUIT, SIGTERM].into_iter().filter(move |signal| mask & 1 << (signal - 1) != 0)
}
