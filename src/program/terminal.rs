//! What the program prints, and the exit codes that follow from it.

use std::{
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use super::EXIT_USAGE;
use crate::{cli::text, streams::Blocking};

/// Prints what clap answers: help and version on standard output, errors on standard error.
pub(super) fn explain(answer: &clap::Error) -> ExitCode {
    // Only a terminal gets colours.
    let is_plain = !answer.use_stderr() && !io::stdout().is_terminal();
    let shown = if is_plain { print(answer.render().to_string().as_bytes()) } else { answer.print() };
    if answer.use_stderr() {
        // The code is the same where nothing can be printed.
        return ExitCode::from(EXIT_USAGE);
    }
    printed(shown)
}

/// Prints to standard output, also if that is non-blocking.
pub(super) fn print(bytes: &[u8]) -> io::Result<()> {
    Blocking(io::stdout()).write_all(bytes)
}

/// The exit code after something was printed. A reader of standard output that has closed it has read enough.
pub(super) fn printed(result: io::Result<()>) -> ExitCode {
    match result.and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(1, format_args!("standard output: {error}")),
        Ok(()) | Err(_) => ExitCode::SUCCESS,
    }
}

pub(super) fn fail(code: u8, error: impl Display) -> ExitCode {
    // `eprintln` would panic where standard error is closed or full, and so change the exit code.
    let line = format!("evenkeel: {}\n", text::message(&error.to_string()));
    let _ = Blocking(io::stderr()).write_all(line.as_bytes());
    ExitCode::from(code)
}
