//! Answers that nobody takes.
//!
//! A client that grants no window makes the server keep its answer. The task that sends it waits inside the HTTP/2
//! library, where nobody looks at a clock; so the library's executor looks, beside each of the tasks it is given. HTTP/1.1
//! has no tasks of its own: there the connection is looked after.

use std::{
    cell::Cell,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::Executor;
use pin_project_lite::pin_project;

use super::patience::Patience;
use crate::counters::Counters;

thread_local! {
    /// What the task that is polled on this thread has said of its answer.
    static SAID: Cell<Said> = const { Cell::new(Said::Nothing) };
    /// Whether a task is dropped on this thread now, since its client does not take its answer.
    static GIVES_UP: Cell<bool> = const { Cell::new(false) };
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

/// Whether the answer that is dropped now is given up because its client does not take it.
pub(super) fn is_given_up() -> bool {
    GIVES_UP.get()
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

    /// A task, with a look at the clock.
    pub(super) fn watch<F>(&self, task: F) -> Watched<F> {
        let Self { timeout, counters } = self;
        Watched { task: Some(task), patience: Patience::new(*timeout), sends: false, counters: Arc::clone(counters) }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Sending {
    fn execute(&self, task: F) {
        tokio::spawn(self.watch(task));
    }
}

pin_project! {
    /// A task that is given up, with `None`, when its client does not take its answer.
    pub(super) struct Watched<F> {
        // `None`: it was given up.
        #[pin]
        task: Option<F>,
        patience: Patience,
        sends: bool,
        counters: Arc<Counters>,
    }
}

impl<F> Watched<F> {
    /// The task; `None`: it was given up.
    pub(super) fn task(self: Pin<&mut Self>) -> Option<Pin<&mut F>> {
        self.project().task.as_pin_mut()
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let mut this = self.project();
        let Some(task) = this.task.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let (patience, sends) = (this.patience, this.sends);
        SAID.set(Said::Nothing);
        if let Poll::Ready(output) = task.poll(cx) {
            return Poll::Ready(Some(output));
        }
        match SAID.get() {
            Said::Nothing => (),
            Said::Gave(bytes) => {
                *sends = true;
                patience.begin(bytes);
            }
            Said::HasNone => *sends = false,
        }
        if *sends && patience.poll_over(cx).is_ready() {
            this.counters.sends_timed_out.add_one();
            GIVES_UP.set(true);
            this.task.set(None);
            GIVES_UP.set(false);
            return Poll::Ready(None);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http_body::{Body as HttpBody, Frame};
    use hyper::{body::Incoming, server::conn::http1, service::service_fn};
    use hyper_util::rt::TokioIo;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        time::Instant,
    };
    use tonic::codegen::http::{Request, Response};

    use super::*;

    const FULL: Duration = Duration::from_secs(30);
    const FRAME: &[u8] = &[7; 1000];

    /// So many frames.
    struct Frames(usize);

    impl HttpBody for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let Some(left) = self.0.checked_sub(1) else { return Poll::Ready(None) };
            self.0 = left;
            gave(FRAME.len());
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(FRAME)))))
        }
    }

    impl Drop for Frames {
        fn drop(&mut self) {
            has_none();
        }
    }

    /// The connection of a client that asks once, for so many frames, reads so many bytes of them, and stays for an hour.
    async fn ended(frames: usize, reads: usize) -> (Option<bool>, Duration, usize) {
        let counters = Arc::<Counters>::default();
        let (mut client, server) = duplex(1 << 12);
        let service =
            service_fn(move |_: Request<Incoming>| async move { Ok::<_, Infallible>(Response::new(Frames(frames))) });
        let connection = http1::Builder::new().max_buf_size(1 << 14).serve_connection(TokioIo::new(server), service);
        tokio::spawn(async move {
            client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("the server reads");
            let mut read = 0;
            while read < reads {
                read += client.read(&mut [0; 1000]).await.expect("the server writes");
            }
            tokio::time::sleep(Duration::from_secs(3600)).await;
        });
        let began = Instant::now();
        let served = Sending::new(FULL, Arc::clone(&counters)).watch(connection).await;
        let timed_out = usize::try_from(counters.sends_timed_out.get()).expect("a small number");
        (served.map(|served| served.is_ok()), began.elapsed(), timed_out)
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_whose_client_takes_nothing_more_is_given_up() {
        for reads in [0, 100_000] {
            let (served, after, timed_out) = ended(1_000_000, reads).await;
            assert_eq!((served, timed_out), (None, 1));
            // HTTP/1.1 may keep another frame when it is woken, for which there is time again.
            assert!((FULL..3 * FULL).contains(&after), "{after:?} after {reads} bytes");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_taken_all_may_stay() {
        let (served, after, timed_out) = ended(100, 100_000).await;
        assert_eq!((served, timed_out), (Some(true), 0));
        assert!(after > 100 * FULL, "{after:?}");
    }
}
