//! HTTP/2 over a socket that counts: how many writes a response takes, and how long the body of a response is kept.

mod endings;
mod turns;

use std::{
    io::IoSlice,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use http::HeaderMap;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::TokioExecutor;
use tokio::io::{DuplexStream, ReadBuf, duplex};

use super::*;

/// A wait that takes longer fails its test.
const NEVER: Duration = Duration::from_secs(60);
const MIB: usize = 1 << 20;
/// More than all windows together.
const ROOM: usize = 64 * MIB;

/// The reads and writes of a socket, and how it behaves.
#[derive(Debug, Default)]
struct Counts {
    writes: AtomicUsize,
    /// The bytes that were read.
    read: AtomicUsize,
    /// A read that finds nothing fails.
    fails: AtomicBool,
    /// HTTP copies what it writes, as it does for sockets that take one slice at a time.
    is_flat: AtomicBool,
    /// The system has bytes that it does not send.
    is_unsent: AtomicBool,
    taken: AtomicU64,
    /// The socket takes nothing, and wakes this when it does again.
    is_full: AtomicBool,
    writer: Mutex<Option<Waker>>,
}

impl Counts {
    fn take_writes(&self) -> usize {
        self.writes.swap(0, Ordering::SeqCst)
    }

    fn fill(&self) {
        self.is_full.store(true, Ordering::SeqCst);
        *self.writer.lock().expect("no panic") = None;
    }

    fn empty(&self) {
        self.is_full.store(false, Ordering::SeqCst);
        if let Some(waker) = self.writer.lock().expect("no panic").take() {
            waker.wake();
        }
    }
}

/// A socket that takes all of each write, or nothing.
struct Counting {
    io: DuplexStream,
    counts: Arc<Counts>,
}

impl Socket for Counting {
    fn has_unsent(&self) -> bool {
        self.counts.is_unsent.load(Ordering::SeqCst)
    }

    fn taken(&self) -> u64 {
        self.counts.taken.load(Ordering::SeqCst)
    }
}

impl AsyncRead for Counting {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        self.counts.read.fetch_add(buf.filled().len() - before, Ordering::SeqCst);
        if read.is_pending() && self.counts.fails.load(Ordering::SeqCst) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        read
    }
}

impl AsyncWrite for Counting {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        *self.counts.writer.lock().expect("no panic") = Some(cx.waker().clone());
        if self.counts.is_full.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        // There is room: pending means that the task has used up its share of tokio's budget.
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, &bytes));
        self.counts.writes.fetch_add(1, Ordering::SeqCst);
        assert!(matches!(written, Ok(len) if len == bytes.len()), "{written:?}");
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        !self.counts.is_flat.load(Ordering::SeqCst)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Answers with as many bytes as its path says, and trailers.
#[derive(Clone, Debug)]
struct Answers {
    connection: Arc<ConnectionHandle>,
    /// The window that streams are taken to have, whatever the client says.
    believed: Option<u32>,
    /// The bodies that were dropped.
    dropped: Arc<AtomicUsize>,
}

struct Answer {
    data: Option<Bytes>,
    has_ended: bool,
    dropped: Arc<AtomicUsize>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let end = (!std::mem::replace(&mut self.has_ended, true)).then(|| {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().expect("a value"));
            Ok(Frame::trailers(trailers))
        });
        Poll::Ready(end)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

impl Service<Request<Incoming>> for Answers {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Answer>, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let len = request.uri().path()[1..].parse().expect("the path is a length");
        if let Some(window) = self.believed {
            self.connection.window().set_initial(window);
        }
        let data = Some(vec![7; len].into());
        std::future::ready(Ok(Response::new(Answer { data, has_ended: false, dropped: Arc::clone(&self.dropped) })))
    }
}

struct Make {
    believed: Option<u32>,
    dropped: Arc<AtomicUsize>,
}

impl MakeService for Make {
    type Service = Answers;

    fn make_service(&self, connection: &Arc<ConnectionHandle>, _: Version) -> Answers {
        let (connection, dropped) = (Arc::clone(connection), Arc::clone(&self.dropped));
        Answers { connection, believed: self.believed, dropped }
    }
}

/// A connection over a socket that counts.
struct Connected {
    client: SendRequest<Empty<Bytes>>,
    counts: Arc<Counts>,
    dropped: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
    served: tokio::task::JoinHandle<()>,
    draining: watch::Sender<bool>,
}

impl Connected {
    /// To a client with frames of so many bytes, and with this window for each stream.
    async fn new(max_frame: u32, window: u32, believed: Option<u32>, send_timeout: Duration) -> Self {
        let (near, far) = duplex(ROOM);
        let (counts, dropped, metrics) = (Arc::<Counts>::default(), Arc::default(), Arc::<Metrics>::default());
        let (draining, told) = watch::channel(false);
        let make = Make { believed, dropped: Arc::clone(&dropped) };
        let settings = Settings { send_timeout, ..Settings::default() };
        let shared = Shared::new(make, settings, None, Arc::clone(&metrics), told);
        let socket = Counting { io: far, counts: Arc::clone(&counts) };
        let served = tokio::spawn(speak(Version::Http2, socket, &shared, Instant::now()));
        let (client, connection) = Builder::new(TokioExecutor::new())
            .max_frame_size(max_frame)
            .initial_stream_window_size(window)
            .initial_connection_window_size((1 << 31) - 1)
            .handshake(TokioIo::new(near))
            .await
            .expect("the server speaks HTTP/2");
        tokio::spawn(connection);
        let mut connected = Self { client, counts, dropped, metrics, served, draining };
        // The server's settings, and its answers to the client's.
        connected.get(1).await;
        connected.counts.take_writes();
        connected
    }

    async fn begin(&mut self, len: usize) -> Response<Incoming> {
        let request = Request::get(format!("http://localhost/{len}")).body(Empty::new()).expect("a request");
        timeout(NEVER, self.client.send_request(request)).await.expect("it is answered").expect("it has headers")
    }

    async fn get(&mut self, len: usize) {
        let before = self.dropped.load(Ordering::SeqCst);
        let all = timeout(NEVER, self.begin(len).await.into_body().collect()).await.expect("it ends");
        let all = all.expect("it is whole");
        assert_eq!(all.trailers().expect("it has trailers")["grpc-status"], "0");
        assert_eq!(all.to_bytes().len(), len);
        until("the body is dropped", || self.dropped.load(Ordering::SeqCst) > before).await;
    }
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let came = timeout(NEVER, async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    });
    came.await.unwrap_or_else(|_| panic!("in vain: {what}"));
}

#[tokio::test]
async fn a_response_is_one_write_for_each_mib() {
    for max_frame in [1 << 14, 1 << 20] {
        let mut connected = Connected::new(max_frame, (1 << 31) - 1, None, NEVER).await;
        for (len, writes) in [(1 << 10, 1), (1 << 16, 1), (1 << 18, 1), (MIB, 1), (4 * MIB, 4)] {
            connected.get(len).await;
            assert_eq!(connected.counts.take_writes(), writes, "{len} bytes in frames of {max_frame}");
        }
    }
}

/// Data beyond the client's windows waits for them. A response that fits into the windows is one write with its end.
#[tokio::test]
async fn a_response_that_waits_for_windows_is_whole() {
    for window in [1, 100, 65_535] {
        let mut connected = Connected::new(1 << 14, window, None, NEVER).await;
        let len = 3 * window as usize + 1;
        connected.get(len).await;
        assert!(connected.counts.take_writes() >= 4, "{window}");
        connected.get(window as usize).await;
        assert_eq!(connected.counts.take_writes(), 1, "{window}");
    }
}

/// HTTP may have the end of a response, but the body is not dropped before the socket has taken the last byte.
#[tokio::test]
async fn a_body_lasts_until_the_socket_has_taken_it() {
    let mut connected = Connected::new(1 << 20, MIB as u32, None, NEVER).await;
    let counts = Arc::clone(&connected.counts);
    counts.fill();
    let (dropped, metrics) = (Arc::clone(&connected.dropped), Arc::clone(&connected.metrics));
    let before = dropped.load(Ordering::SeqCst);
    let mut begun = Box::pin(connected.get(1 << 18));
    // The client's request is sent by tasks; all are on this thread.
    for _ in 0..1000 {
        assert!(timeout(Duration::ZERO, &mut begun).await.is_err());
        tokio::task::yield_now().await;
    }
    assert!(counts.writer.lock().expect("no panic").is_some(), "the server has tried to write");
    assert_eq!((dropped.load(Ordering::SeqCst), metrics.requests_open.get()), (before, 1));
    counts.empty();
    begun.await;
    assert_eq!((dropped.load(Ordering::SeqCst), metrics.requests_open.get()), (before + 1, 0));
    assert_eq!(counts.take_writes(), 1);
}

/// The client leaves, or resets the stream, when HTTP has the whole response and the socket none of it.
#[tokio::test]
async fn what_is_lost_is_given_back() {
    for leaves in [false, true] {
        let mut connected = Connected::new(1 << 20, MIB as u32, None, Duration::from_millis(100)).await;
        connected.counts.fill();
        let request = Request::get("http://localhost/1000").body(Empty::new()).expect("a request");
        let answer = tokio::spawn(connected.client.send_request(request));
        let counts = Arc::clone(&connected.counts);
        until("the server tries to write", || counts.writer.lock().expect("no panic").take().is_some()).await;
        assert_eq!((connected.dropped.load(Ordering::SeqCst), connected.metrics.requests_open.get()), (1, 1));
        answer.abort();
        if leaves {
            drop(connected.client);
            timeout(NEVER, connected.served).await.expect("its connection ends").expect("no panic");
        } else {
            connected.counts.empty();
        }
        until("the body is dropped", || connected.dropped.load(Ordering::SeqCst) == 2).await;
        assert_eq!(connected.metrics.requests_open.get(), 0);
    }
}

/// A stream whose end HTTP has cannot be reset: a client that then takes back its window loses the connection.
#[tokio::test]
async fn a_client_that_takes_back_its_window_is_cut_off() {
    let mut connected = Connected::new(1 << 14, 1, Some(1 << 20), Duration::from_millis(100)).await;
    let response = connected.begin(1000).await;
    timeout(NEVER, connected.served).await.expect("its connection ends").expect("no panic");
    timeout(NEVER, response.into_body().collect()).await.expect("it ends").expect_err("it is not whole");
    assert_eq!(connected.metrics.sends_timed_out.get(), 1);
    assert_eq!((connected.dropped.load(Ordering::SeqCst), connected.metrics.requests_open.get()), (2, 0));
}
