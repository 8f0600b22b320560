//! A progress bar on a terminal, for work that takes long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use indicatif::{BinaryBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work on fewer bytes ends before a bar could be read.
const LONG_BYTES: u64 = 16 << 20;
/// How often the bar is drawn at least: it shows the time that has passed.
const TICK: Duration = Duration::from_millis(200);

/// How much of a command's work is done. Clones share their counts.
#[derive(Clone, Debug)]
pub(super) struct Progress(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    bar: ProgressBar,
    read: AtomicU64,
    answered: AtomicU64,
}

impl Progress {
    /// A bar that is not shown.
    pub(super) fn none() -> Self {
        Self::on(ProgressDrawTarget::hidden(), 0)
    }

    /// A bar for so many bytes of tensors, on standard error. It is not shown if that is no terminal or the work is
    /// short.
    pub(super) fn of(bytes: u64) -> Self {
        if bytes < LONG_BYTES {
            return Self::none();
        }
        let progress = Self::on(ProgressDrawTarget::stderr(), bytes);
        progress.0.bar.enable_steady_tick(TICK);
        progress
    }

    fn on(target: ProgressDrawTarget, bytes: u64) -> Self {
        let style = ProgressStyle::with_template(
            "{prefix} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {elapsed}, {eta} left {msg}",
        );
        let bar = ProgressBar::with_draw_target(Some(bytes), target);
        bar.set_style(style.expect("the template is well-formed"));
        Self(Arc::new(Counts { bar, read: AtomicU64::new(0), answered: AtomicU64::new(0) }))
    }

    /// Starts the bar again, for the next phase of the work.
    pub(super) fn phase(&self, name: &'static str) {
        let Counts { bar, read, answered } = &*self.0;
        read.store(0, Ordering::Relaxed);
        answered.store(0, Ordering::Relaxed);
        bar.set_position(0);
        bar.set_prefix(name);
    }

    /// So many bytes were read, and are sent next.
    pub(super) fn has_read(&self, bytes: usize) {
        self.0.read.fetch_add(bytes as u64, Ordering::Relaxed);
        self.show();
    }

    /// The server has answered to so many bytes: they were sent and computed.
    pub(super) fn has_answer(&self, bytes: usize) {
        self.0.answered.fetch_add(bytes as u64, Ordering::Relaxed);
        self.show();
    }

    /// So many bytes are done.
    pub(super) fn has_written(&self, bytes: usize) {
        self.0.bar.inc(bytes as u64);
    }

    fn show(&self) {
        let Counts { bar, read, answered } = &*self.0;
        if !bar.is_hidden() {
            bar.set_message(message(read.load(Ordering::Relaxed), answered.load(Ordering::Relaxed)));
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.0.bar.finish_and_clear();
    }
}

fn message(read: u64, answered: u64) -> String {
    format!("read {}, computed {}", BinaryBytes(read), BinaryBytes(answered))
}

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;

    use super::*;

    #[test]
    fn each_step_moves_the_bar() {
        let terminal = InMemoryTerm::new(3, 200);
        let progress = Progress::on(ProgressDrawTarget::term_like_with_hz(Box::new(terminal.clone()), 255), 64 << 20);
        progress.phase("clipping");
        let look = |progress: &Progress| {
            progress.0.bar.force_draw();
            terminal.contents()
        };
        progress.has_read(4 << 20);
        let seen = look(&progress);
        assert!(seen.contains("clipping") && seen.contains("read 4.00 MiB, computed 0 B"), "{seen}");
        progress.has_answer(2 << 20);
        let seen = look(&progress);
        assert!(seen.contains("computed 2.00 MiB") && seen.contains("0 B/64.00 MiB"), "{seen}");
        progress.has_written(1 << 20);
        let seen = look(&progress);
        assert!(seen.contains("1.00 MiB/64.00 MiB") && seen.contains(" left"), "{seen}");
        progress.phase("writing");
        let seen = look(&progress);
        assert!(seen.contains("writing") && seen.contains("0 B/64.00 MiB"), "{seen}");
        progress.finish();
        assert_eq!(terminal.contents(), "");
    }
}
