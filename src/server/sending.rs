//! Answers that nobody takes.
//!
//! A client that grants no window makes the server keep its answer. The task that sends it waits inside the HTTP/2
//! library, where nobody looks at a clock; so the library's executor looks, beside each of the tasks it is given.

use std::{cell::Cell, future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use hyper::rt::Executor;

use super::patience::Patience;
use crate::counters::Counters;

thread_local! {
    /// What the task that is polled on this thread has said of its answer.
    static SAID: Cell<Said> = const { Cell::new(Said::Nothing) };
}

/// What a call says of its answer while it is polled.
#[derive(Clone, Copy, Debug, Default)]
enum Said {
    #[default]
    Nothing,
    /// So many bytes are on their way: the client has to take them.
    Gave(usize),
    /// There is nothing to send for now: the client is waited for no longer.
    HasNone,
}

/// A part of an answer of so many bytes goes to the client now.
pub(super) fn gave(bytes: usize) {
    SAID.set(match SAID.get() {
        Said::Gave(before) => Said::Gave(before + bytes),
        Said::Nothing | Said::HasNone => Said::Gave(bytes),
    });
}

/// The answer goes on later.
pub(super) fn has_none() {
    SAID.set(Said::HasNone);
}

/// Runs the tasks of connections. One whose client does not take its answer is dropped, which resets its stream.
#[derive(Clone, Debug)]
pub(super) struct Sending {
    timeout: Duration,
    counters: Arc<Counters>,
}

impl Sending {
    /// `timeout`: how long a client may take nothing; zero: for ever.
    pub(super) fn new(timeout: Duration, counters: Arc<Counters>) -> Self {
        Self { timeout, counters }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Sending {
    fn execute(&self, task: F) {
        let Self { timeout, counters } = self.clone();
        tokio::spawn(async move {
            let mut task = pin!(task);
            let mut patience = Patience::new(timeout);
            let mut sends = false;
            poll_fn(|cx| {
                SAID.set(Said::Nothing);
                if task.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                match SAID.get() {
                    Said::Nothing => (),
                    Said::Gave(bytes) => {
                        sends = true;
                        patience.begin(bytes);
                    }
                    Said::HasNone => sends = false,
                }
                if sends && patience.poll_over(cx).is_ready() {
                    counters.sends_timed_out.add_one();
                    tracing::info!("a client did not take its answer in time");
                    return Poll::Ready(());
                }
                Poll::Pending
            })
            .await;
        });
    }
}
