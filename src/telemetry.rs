//! Logs: text or JSON, on standard error.

mod lines;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, IsTerminal as _},
    panic::{self, PanicHookInfo},
    thread,
};

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{EnvFilter, Registry, layer::SubscriberExt as _, reload, util::SubscriberInitExt as _};

pub use lines::Lines;
pub(crate) use lines::lost;

use crate::{panics, setting};

/// The directive that silences the HTTP/2 library unless other directives name it. It warns of every wrong frame, and a
/// client can send a hundred thousand of them in a second, among which the lines of calls would be lost.
const HTTP2: &str = "h2=off";

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One line for people.
    #[default]
    Text,
    /// One JSON object on a line.
    Json,
}

/// The filter and the format of the log.
#[derive(Debug)]
pub struct Config {
    filter: EnvFilter,
    format: Format,
}

impl Config {
    /// `directives` are those of [`EnvFilter`]: a level, or a list such as `warn,evenkeel=debug`. The HTTP/2 library is silent
    /// unless one of them names it, as `debug,h2=debug` does.
    ///
    /// # Errors
    /// Names `log-level` when the directives cannot be read. A single word that is no level is refused too: to
    /// [`EnvFilter`] it is the name of a crate, so a mistyped level would silence everything.
    pub fn new(directives: &str, format: Format) -> Result<Self, setting::Error> {
        let refuse = |reason: String| setting::Error { key: "log-level", reason };
        let word = directives.split(',').map(str::trim).find(|word| {
            !word.is_empty()
                && word.chars().all(|c| c.is_alphanumeric() || c == '_')
                && word.parse::<LevelFilter>().is_err()
        });
        if let Some(word) = word {
            return Err(refuse(format!("'{word}' is not a level; for a crate, write '{word}=debug'")));
        }
        let filter =
            EnvFilter::builder().parse(format!("{HTTP2},{directives}")).map_err(|error| refuse(error.to_string()))?;
        Ok(Self { filter, format })
    }

    /// Errors in JSON: the log of a server that cannot start, whose own settings may be what is wrong.
    pub fn refusals() -> Self {
        Self { filter: EnvFilter::default().add_directive(LevelFilter::ERROR.into()), format: Format::Json }
    }

    /// Makes these logs the process's logs. Panics are logged from here on, and no longer written by the thread that
    /// panicked.
    ///
    /// # Panics
    /// If the process has logs already.
    pub fn install(self) -> (Level, Lines) {
        let Self { filter, format } = self;
        let (filter, level) = reload::Layer::new(filter);
        let (writer, waiting) = Lines::start();
        let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(io::stderr().is_terminal());
        let subscriber = tracing_subscriber::registry().with(filter);
        match format {
            Format::Text => subscriber.with(lines).init(),
            Format::Json => subscriber.with(lines.json()).init(),
        }
        panic::set_hook(Box::new(log_panic));
        (Level(level), waiting)
    }
}

/// Logs a panic. The default hook writes to standard error itself, and waits until that is read.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panics::message(panic.payload());
    let (thread, location) = (thread::current(), panic.location().map(ToString::to_string));
    // `capture` makes a backtrace only if RUST_BACKTRACE asks for one.
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(panic = message, location, thread = thread.name(), backtrace, "panicked");
}

/// The filter of the installed logs, which can be changed while the process runs.
#[derive(Debug)]
pub struct Level(reload::Handle<EnvFilter, Registry>);

impl Level {
    /// Filters by `directives` from here on; they are those of [`Config::new`].
    ///
    /// # Errors
    /// As [`Config::new`]; nothing changes then.
    pub fn change(&self, directives: &str) -> Result<(), setting::Error> {
        let Config { filter, format: _ } = Config::new(directives, Format::default())?;
        let gone = |error: reload::Error| setting::Error { key: "log-level", reason: error.to_string() };
        self.0.reload(filter).map_err(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives_are_taken() {
        for directives in
            ["info", "off", "WARN", "", "warn,evenkeel=debug", "evenkeel::service=trace", "info,[rpc]=debug"]
        {
            Config::new(directives, Format::Text).unwrap_or_else(|error| panic!("{directives}: {error}"));
        }
    }

    #[test]
    fn bad_directives_name_the_key() {
        for directives in ["debgu", "info,evenkeel", "evenkeel_kernels", "evenkeel=loud", "info,a=b=c"] {
            let error = Config::new(directives, Format::Json).expect_err(directives);
            assert_eq!(error.key, "log-level", "{directives}");
        }
    }
}
