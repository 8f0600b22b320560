//! A timeout for responses that their clients do not take.
//!
//! A client that grants no window makes the server keep its response. The task that sends it waits inside the HTTP/2
//! library, which has no timeout for that. So the executor that the library is given watches the time of each task. Over
//! HTTP/1.1 there are no windows: there [`WriteTimeout`](crate::io::WriteTimeout) suffices.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::Executor;
use pin_project_lite::pin_project;

use crate::{
    backlog::{Backlog, Unbegun},
    metrics::Metrics,
    min_rate::MinRateTimeout,
    send_progress::SendProgress,
};

tokio::task_local! {
    /// The progress of the response that the running task sends.
    static PROGRESS: Arc<SendProgress>;
}

impl SendProgress {
    /// The progress of the response to the request that is being served, in the futures and bodies that
    /// [`Transport`](crate::Transport) polls. Elsewhere this returns a new one, which never changes.
    pub fn current() -> Arc<Self> {
        PROGRESS.try_with(Arc::clone).unwrap_or_default()
    }

    /// Calls `poll`, within which this is [`current`](Self::current).
    pub(crate) fn enter<R>(self: &Arc<Self>, poll: impl FnOnce() -> R) -> R {
        PROGRESS.sync_scope(Arc::clone(self), poll)
    }
}

/// Runs the tasks of HTTP/2's streams. A task whose client does not take its response is dropped, which resets the stream.
#[derive(Clone, Debug)]
pub(crate) struct SendTimeout {
    pause: Duration,
    metrics: Arc<Metrics>,
    backlog: Arc<Backlog>,
}

impl SendTimeout {
    /// `pause`: how long a client may take nothing; zero: for ever.
    pub(crate) fn new(pause: Duration, metrics: Arc<Metrics>, backlog: Arc<Backlog>) -> Self {
        Self { pause, metrics, backlog }
    }

    fn watch<F: Future>(&self, task: F) -> Watched<F> {
        Watched {
            task,
            unbegun: Some(self.backlog.add()),
            progress: Arc::default(),
            timeout: MinRateTimeout::new(self.pause),
            metrics: Arc::clone(&self.metrics),
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
    ///
    /// A task that has given HTTP the end of its response has ended: see [`EndedResponses`](crate::ended::EndedResponses).
    struct Watched<F> {
        #[pin]
        task: F,
        // `None` when the task was polled once.
        unbegun: Option<Unbegun>,
        progress: Arc<SendProgress>,
        timeout: MinRateTimeout,
        metrics: Arc<Metrics>,
    }
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        drop(this.unbegun.take());
        let (progress, timeout) = (this.progress, this.timeout);
        if progress.enter(|| this.task.poll(cx)).is_ready() {
            return Poll::Ready(());
        }
        timeout.progressed(progress.take_written());
        if progress.take_caught_up() {
            timeout.restart();
        }
        if progress.unwritten() > 0 && timeout.poll_elapsed(cx).is_ready() {
            progress.give_up();
            this.metrics.sends_timed_out.add_one();
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
    use crate::{chunk::Chunk, min_rate::BYTES_PER_SECOND};

    const PAUSE: Duration = Duration::from_secs(30);
    const RATE: usize = BYTES_PER_SECOND as usize;

    /// Runs a task that gives `bytes` to a transport which writes `written` of them each second. Returns how long it has run, and
    /// whether it was given up.
    async fn sent(bytes: usize, written: usize) -> (Duration, bool) {
        let metrics = Arc::<Metrics>::default();
        let task = async move {
            let progress = SendProgress::current();
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
        SendTimeout::new(PAUSE, Arc::clone(&metrics), Backlog::new()).watch(task).await;
        (began.elapsed(), metrics.sends_timed_out.get() == 1)
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
        let metrics = Arc::<Metrics>::default();
        let task = async {
            let progress = SendProgress::current();
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
        SendTimeout::new(PAUSE, Arc::clone(&metrics), Backlog::new()).watch(task).await;
        assert_eq!(metrics.sends_timed_out.get(), 0);
    }
}
