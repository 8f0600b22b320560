//! Programs that see nothing of the environment of whoever runs the tests: for every test that starts one.
//!
//! `EVENKEEL_` and `OTEL_` variables are settings, `COLUMNS` and `NO_COLOR` change what is printed, `SSL_CERT_FILE` whom is
//! trusted, and others may come: what is not known to be needed is left out.

use std::{env, ffi::OsStr, process::Command};

/// What a program needs to run at all, and where it may write; and where a coverage report is to go.
const NEEDED: [&str; 5] = ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "LLVM_PROFILE_FILE"];

/// The program, with the variables that it needs alone.
pub fn without_environment(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(NEEDED.into_iter().filter_map(|name| Some((name, env::var_os(name)?))));
    command
}
