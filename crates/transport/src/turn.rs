//! Tasks that let others go first.

use std::{
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{task::yield_now, time::Instant};

/// How long a turn is, however little is done in it: other tasks, and the clock of all timeouts, wait for so long.
const TURN_TIME: Duration = Duration::from_millis(1);

/// What a task does before it lets the others of its thread go first. A task that can always go on keeps its thread.
#[derive(Debug)]
pub struct Turn {
    done: usize,
    most: usize,
    /// When the turn began; `None`: it has not.
    since: Option<Instant>,
}

impl Turn {
    /// A turn is over when so much, of whatever is counted, is done, or after a millisecond.
    pub fn new(most: usize) -> Self {
        Self { done: 0, most, since: None }
    }

    /// So much of it was done.
    pub fn did(&mut self, more: usize) {
        self.done += more;
    }

    /// The task waits for something else, and others go on anyway.
    pub fn waits(&mut self) {
        (self.done, self.since) = (0, None);
    }

    /// Pending when the turn is over; the next one comes after those of the tasks, and of the sockets, that are ready.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        if self.done < self.most && now - *self.since.get_or_insert(now) < TURN_TIME {
            return Poll::Ready(());
        }
        self.waits();
        // Its first poll is what sees to it that this task is woken.
        pin!(yield_now()).poll(cx)
    }
}
