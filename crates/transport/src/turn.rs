//! Tasks that let others go first.

use std::{
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{task::yield_now, time::Instant};

/// The longest turn, however little is done in it: other tasks of the thread, and its timers, wait for so long.
const TURN_TIME: Duration = Duration::from_millis(1);

/// Counts the work that a task does before it lets the others of its thread go first. Without turns, a task that can always go
/// on would keep its thread.
#[derive(Debug)]
pub struct Turn {
    done: usize,
    most: usize,
    /// When the turn began; `None`: it has not.
    since: Option<Instant>,
    polled: Option<Instant>,
}

impl Turn {
    /// A turn is over when `most` units of work are done, or after a millisecond. The caller chooses the unit, such as bytes.
    pub fn new(most: usize) -> Self {
        Self { done: 0, most, since: None, polled: None }
    }

    /// Called when `more` units of work were done.
    pub fn did(&mut self, more: usize) {
        self.done += more;
    }

    /// Called when the task waits for something else, so that others go on anyway: the next turn begins anew.
    pub fn waits(&mut self) {
        (self.done, self.since) = (0, None);
    }

    /// When the turn was last polled.
    pub(crate) fn polled(&self) -> Option<Instant> {
        self.polled
    }

    /// Pending when the turn is over. The task is woken for its next turn after the other tasks and sockets that are ready.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        self.polled = Some(now);
        if self.done < self.most && now - *self.since.get_or_insert(now) < TURN_TIME {
            return Poll::Ready(());
        }
        self.waits();
        // The first poll of `yield_now` has this task woken.
        pin!(yield_now()).poll(cx)
    }
}
