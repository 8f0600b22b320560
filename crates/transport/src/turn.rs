//! Tasks that let others go first.

use std::{
    pin::pin,
    task::{Context, Poll},
};

use tokio::task::yield_now;

/// What a task does before it lets the others of its thread go first. A task that can always go on keeps its thread.
#[derive(Debug)]
pub struct Turn {
    done: usize,
    most: usize,
}

impl Turn {
    /// A turn is over when so much, of whatever is counted, is done.
    pub fn new(most: usize) -> Self {
        Self { done: 0, most }
    }

    /// So much of it was done.
    pub fn did(&mut self, more: usize) {
        self.done += more;
    }

    /// The task waits for something else, and others go on anyway.
    pub fn waits(&mut self) {
        self.done = 0;
    }

    /// Pending when the turn is over; the next one comes after those of the tasks, and of the sockets, that are ready.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.done < self.most {
            return Poll::Ready(());
        }
        self.done = 0;
        // Its first poll is what sees to it that this task is woken.
        pin!(yield_now()).poll(cx)
    }
}
