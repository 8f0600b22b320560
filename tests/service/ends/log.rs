//! Captures the log of one thread.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use tracing::{
    Dispatch, Level,
    subscriber::{DefaultGuard, NoSubscriber},
};

/// The log of this thread, for as long as this lives.
pub(crate) struct Log {
    lines: Lines,
    _logged: DefaultGuard,
    _another: Dispatch,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer panics").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub(crate) fn begin() -> Self {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().json().with_max_level(Level::DEBUG).with_writer(move || writer.clone()).finish();
        // If this subscriber were the only one, `tracing` would ask the current thread alone whether a log statement is
        // wanted when it is first reached: on another thread there is no subscriber, and the statement would stay
        // switched off for every thread. With a second one, all are asked.
        let another = Dispatch::new(NoSubscriber::new());
        Self { lines, _logged: tracing::subscriber::set_default(subscriber), _another: another }
    }

    /// The lines of calls that have ended.
    pub(crate) fn calls(&self) -> Vec<serde_json::Value> {
        let text = self.lines.0.lock().expect("no writer panics").clone();
        let text = String::from_utf8(text).expect("the log is text");
        let lines = text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON"));
        lines.filter(|line: &serde_json::Value| line["fields"]["message"] == "call ended").collect()
    }
}
