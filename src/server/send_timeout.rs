//! Responses that nobody takes.
//!
//! A client that grants no window makes the server keep its response. The task that sends it waits inside the HTTP/2
//! library, which looks at no clock; so the library's executor does, beside each of the tasks that it is given. Over
//! HTTP/1.1 there are no windows: there [`WriteTimeout`](super::write_timeout::WriteTimeout) suffices.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::task::futures::TaskLocalFuture;

use super::{min_rate::MinRateTimeout, send_progress::SendProgress};
use crate::counters::Counters;

tokio::task_local! {
    /// What the task that is running sends.
    static PROGRESS: Arc<SendProgress>;
}

/// The progress of the response that the task which is running sends; one that nobody watches where no [`SendTimeout`]
/// runs it.
pub(super) fn of_this_task() -> Arc<SendProgress> {
    PROGRESS.try_with(Arc::clone).unwrap_or_default()
}

/// Runs the tasks of HTTP/2's streams. One whose client does not take its response is dropped, which resets the stream.
#[derive(Clone, Debug)]
pub(super) struct SendTimeout {
    pause: Duration,
    counters: Arc<Counters>,
}

impl SendTimeout {
    /// `pause`: how long a client may take nothing; zero: for ever.
    pub(super) fn new(pause: Duration, counters: Arc<Counters>) -> Self {
        Self { pause, counters }
    }

    fn watch<F: Future>(&self, task: F) -> Watched<F> {
        let progress = Arc::<SendProgress>::default();
        Watched {
            task: PROGRESS.scope(Arc::clone(&progress), task),
            progress,
            timeout: MinRateTimeout::new(self.pause),
            counters: Arc::clone(&self.counters),
        }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for SendTimeout {
    fn execute(&self, task: F) {
        tokio::spawn(self.watch(task));
    }
}

pin_project! {
    /// A task that is given up when its client does not take its response.
    struct Watched<F> {
        #[pin]
        task: TaskLocalFuture<Arc<SendProgress>, F>,
        progress: Arc<SendProgress>,
        timeout: MinRateTimeout,
        counters: Arc<Counters>,
    }
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.task.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let (progress, timeout) = (this.progress, this.timeout);
        timeout.progressed(progress.take_written());
        if progress.take_caught_up() {
            timeout.restart();
        }
        if progress.unwritten() > 0 && timeout.poll_elapsed(cx).is_ready() {
            this.counters.sends_timed_out.add_one();
            progress.give_up();
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use bytes::{Buf as _, Bytes};
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::server::{min_rate::BYTES_PER_SECOND, send_progress::Chunk};

    const PAUSE: Duration = Duration::from_secs(30);
    const RATE: usize = BYTES_PER_SECOND as usize;

    /// Runs a task that gives `bytes` to a transport which writes `written` of them each second; how long it was run, and
    /// whether it was given up.
    async fn sent(bytes: usize, written: usize) -> (Duration, bool) {
        let counters = Arc::<Counters>::default();
        let task = async move {
            let progress = of_this_task();
            let mut chunk = Chunk::new(Bytes::from(vec![0; bytes]), &progress, None);
            let writer = tokio::spawn(async move {
                while chunk.has_remaining() {
                    sleep(Duration::from_secs(1)).await;
                    chunk.advance(written.min(chunk.remaining()));
                }
            });
            poll_fn(|cx| progress.poll_below(1, cx)).await;
            writer.await.expect("it does not panic");
        };
        let began = Instant::now();
        SendTimeout::new(PAUSE, Arc::clone(&counters)).watch(task).await;
        (began.elapsed(), counters.sends_timed_out.get() == 1)
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_may_be_left_for_a_pause_however_long_it_is() {
        for bytes in [1, RATE, 4000 * RATE] {
            let (after, given_up) = sent(bytes, 0).await;
            assert!(given_up && (PAUSE..PAUSE + Duration::from_secs(1)).contains(&after), "{bytes}: {after:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_that_is_taken_at_the_least_rate_is_sent() {
        let (after, given_up) = sent(1000 * RATE, RATE).await;
        assert!(!given_up && after >= Duration::from_secs(1000), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_that_is_taken_at_half_the_rate_is_given_up_after_two_pauses() {
        let (after, given_up) = sent(1000 * RATE, RATE / 2).await;
        assert!(given_up && (PAUSE..3 * PAUSE).contains(&after), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_of_messages_each_of_which_is_taken_late_goes_on() {
        let counters = Arc::<Counters>::default();
        let task = async {
            let progress = of_this_task();
            for _ in 0..100 {
                let chunk = Chunk::new(Bytes::from_static(b"message"), &progress, None);
                let late = tokio::spawn(async move {
                    sleep(PAUSE / 2).await;
                    drop(chunk);
                });
                poll_fn(|cx| progress.poll_below(1, cx)).await;
                late.await.expect("it does not panic");
                progress.has_no_more();
                sleep(PAUSE * 10).await;
            }
        };
        SendTimeout::new(PAUSE, Arc::clone(&counters)).watch(task).await;
        assert_eq!(counters.sends_timed_out.get(), 0);
    }
}
