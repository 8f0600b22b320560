//! Log lines on their way to standard error.
//!
//! A thread of its own writes them, so that calls wait neither for a disk nor for the program that reads the log. If that
//! program stops reading, or the disk is full, lines are lost and counted; nothing else happens.

use std::{
    io::{self, Write},
    panic::{self, AssertUnwindSafe},
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// The most lines that wait; more are dropped. A line has some 300 bytes, and never more than some 8 KiB.
const LINES: usize = 8192;

/// Lines for which there was no room. A process has one log.
static NO_ROOM: OnceLock<ErrorCounter> = OnceLock::new();
/// Lines that could not be written.
static NOT_WRITTEN: AtomicU64 = AtomicU64::new(0);
/// Whether a line is being written at this moment.
static WRITING: AtomicBool = AtomicBool::new(false);

/// How many lines of the log were lost, since they could not be written or too many waited to be.
pub(crate) fn lost() -> u64 {
    let no_room = NO_ROOM.get().map_or(0, |counter| counter.dropped_lines() as u64);
    no_room + NOT_WRITTEN.load(Ordering::Relaxed)
}

/// The lines that are still to be written. Dropping this waits until they are, but no longer than a second.
#[derive(Debug)]
#[must_use = "the last lines are written when it is dropped"]
pub struct Lines(Option<WorkerGuard>);

impl Lines {
    /// Starts the thread.
    pub(super) fn start() -> (NonBlocking, Self) {
        let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES).thread_name("log");
        let (writer, guard) = builder.finish(Counting(io::stderr()));
        // Fails where the process has a log already, which `install` reports.
        let _ = NO_ROOM.set(writer.error_counter());
        (writer, Self(Some(guard)))
    }

    /// Writes the lines that wait, for a second at most, and returns whether standard error can be written to after
    /// that.
    pub fn finish(mut self) -> bool {
        self.flush();
        !WRITING.load(Ordering::Relaxed)
    }

    fn flush(&mut self) {
        let guard = self.0.take();
        // If lines still wait, the guard writes a complaint to standard output, and panics if that is closed.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(guard)));
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Counts the lines that cannot be written.
struct Counting<W>(W);

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_all(line).map(|()| line.len())
    }

    /// Never fails: no caller could do anything about an error.
    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        WRITING.store(true, Ordering::Relaxed);
        if self.0.write_all(line).is_err() {
            NOT_WRITTEN.fetch_add(1, Ordering::Relaxed);
        }
        WRITING.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        // Standard error has no buffer.
        Ok(())
    }
}
