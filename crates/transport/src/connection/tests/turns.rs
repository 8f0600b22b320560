//! Connections that cannot write, or that end, while many requests wait for their service: others are read all the same.
//!
//! The clock of these tests stands still unless all tasks wait for it, so that a wait in vain fails at once.

use std::task::Wake;

use super::*;
use crate::backlog::{HIGH_WATERMARK, REQUESTS_IN_TURN, Unbegun};

/// The client's preface, and empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0of-eight";
/// A PING that is one byte too short: an error of the connection.
const WRONG: &[u8] = b"\0\0\x07\x06\0\0\0\0\0of-7-is";

/// The state that connections share, and the sender that makes them drain.
fn shared() -> (Shared<Make>, watch::Sender<bool>) {
    let (draining, told) = watch::channel(false);
    let make = Make { believed: None, dropped: Arc::default() };
    let settings = Settings { send_timeout: Duration::ZERO, ..Settings::default() };
    (Shared::new(make, settings, None, Arc::default(), told), draining)
}

/// So many requests that wait for their service that there is room for one turn.
fn all_but_one_turn(shared: &Shared<Make>) -> Vec<Unbegun> {
    (0..HIGH_WATERMARK - REQUESTS_IN_TURN).map(|_| shared.backlog.add()).collect()
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A connection that runs when the test says so.
struct ByHand {
    client: DuplexStream,
    counts: Arc<Counts>,
    served: Pin<Box<dyn Future<Output = ()> + Send>>,
    woken: Arc<Woken>,
}

impl ByHand {
    fn new(shared: &Shared<Make>) -> Self {
        let (client, io) = duplex(ROOM);
        let counts = Arc::<Counts>::default();
        let socket = Counting { io, counts: Arc::clone(&counts) };
        let served = speak(Version::Http2, socket, shared, Instant::now());
        Self { client, counts, served, woken: Arc::default() }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.client.write_all(bytes).await.expect("there is room");
    }

    /// Runs the connection until it waits for something that the test does, or ends.
    async fn run(&mut self) -> Poll<()> {
        let waker = Waker::from(Arc::clone(&self.woken));
        loop {
            self.woken.0.store(false, Ordering::SeqCst);
            if self.served.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                return Poll::Ready(());
            }
            // The tasks of its requests run, and it is woken if it only let others go first.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            if !self.woken.0.load(Ordering::SeqCst) {
                return Poll::Pending;
            }
        }
    }
}

/// A client of another connection.
struct Other(SendRequest<Empty<Bytes>>);

impl Other {
    async fn new(shared: &Shared<Make>) -> Self {
        let (near, io) = duplex(ROOM);
        tokio::spawn(speak(Version::Http2, Counting { io, counts: Arc::default() }, shared, Instant::now()));
        let connected = Builder::new(TokioExecutor::new()).handshake(TokioIo::new(near)).await;
        let (client, connection) = connected.expect("the server speaks HTTP/2");
        tokio::spawn(connection);
        let mut other = Self(client);
        other.is_served().await;
        other
    }

    async fn is_served(&mut self) {
        let request = Request::get("http://localhost/1").body(Empty::new()).expect("a request");
        let response = timeout(NEVER, self.0.send_request(request)).await.expect("its request is read");
        response.expect("it is answered").collect().await.expect("it is whole");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_cannot_write_in_its_turn_does_not_keep_it() {
    let (shared, _draining) = shared();
    let mut other = Other::new(&shared).await;
    let _unbegun = all_but_one_turn(&shared);
    let mut blocked = ByHand::new(&shared);
    blocked.counts.fill();
    let sent = [PREFACE, &PING.repeat(2 * MIB / PING.len())].concat();
    blocked.send(&sent).await;
    assert!(blocked.run().await.is_pending());
    let read = blocked.counts.read.load(Ordering::SeqCst);
    assert!((MIB..sent.len()).contains(&read), "{read} bytes were read before it had to write");
    other.is_served().await;
    // The connection goes on when its client reads.
    blocked.counts.empty();
    assert!(blocked.run().await.is_pending());
    assert_eq!(blocked.counts.read.load(Ordering::SeqCst), sent.len());
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_client_errs_in_its_turn_does_not_keep_it() {
    let (shared, _draining) = shared();
    let mut other = Other::new(&shared).await;
    let _unbegun = all_but_one_turn(&shared);
    let mut closing = ByHand::new(&shared);
    closing.counts.fill();
    closing.send(&[PREFACE, WRONG].concat()).await;
    assert!(closing.run().await.is_pending(), "it is to say why it ends");
    other.is_served().await;
    closing.counts.empty();
    closing.client.shutdown().await.expect("it is closed");
    assert!(closing.run().await.is_ready(), "it has said it");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_fails_in_its_turn_does_not_keep_it_while_it_lingers() {
    let (shared, _draining) = shared();
    let mut other = Other::new(&shared).await;
    let _unbegun = all_but_one_turn(&shared);
    let mut failed = ByHand::new(&shared);
    failed.counts.fill();
    failed.counts.fails.store(true, Ordering::SeqCst);
    failed.send(PREFACE).await;
    assert!(failed.run().await.is_pending(), "it lingers");
    other.is_served().await;
}

/// The bytes that it reads then are thrown away.
#[tokio::test(start_paused = true)]
async fn a_connection_that_lingers_needs_no_turn() {
    let (shared, _draining) = shared();
    let mut closed = ByHand::new(&shared);
    closed.send(&[PREFACE, WRONG].concat()).await;
    assert!(closed.run().await.is_pending(), "it lingers");
    let _unbegun: Vec<_> = (0..HIGH_WATERMARK).map(|_| shared.backlog.add()).collect();
    closed.send(&PING.repeat(1000)).await;
    closed.client.shutdown().await.expect("it is closed");
    assert!(closed.run().await.is_ready(), "it has read all there is");
}

/// The connection waits for a turn. Then it must write a GOAWAY, and its client does not read.
#[tokio::test(start_paused = true)]
async fn a_connection_that_cannot_write_leaves_its_place_to_others() {
    const FRAMES: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x04\x7f\xff\xff\xff\0\0\x04\x08\0\0\0\0\0\x7f\0\0\0";
    let (shared, _draining) = shared();
    let (mut its, told) = self::shared();
    its.backlog = Arc::clone(&shared.backlog);
    let mut other = Other::new(&shared).await;
    let mut blocked = ByHand::new(&its);
    blocked.counts.fill();
    blocked.send(&[PREFACE, FRAMES].concat()).await;
    // Responses of 1 MiB: more than is kept for a socket.
    for stream in [1, 3, 5] {
        let head = [0, 0, 15, 1, 5, 0, 0, 0, stream];
        blocked.send(&[&head, b"\x82\x86\x04\x08/1048576\x41\x01a".as_slice()].concat()).await;
    }
    assert!(blocked.run().await.is_pending());
    let mut unbegun: Vec<_> = (0..HIGH_WATERMARK).map(|_| shared.backlog.add()).collect();
    let read = blocked.counts.read.load(Ordering::SeqCst);
    blocked.send(PING).await;
    assert!(blocked.run().await.is_pending());
    assert_eq!(blocked.counts.read.load(Ordering::SeqCst), read, "it waits for its turn");
    told.send(true).expect("it is there");
    assert!(blocked.run().await.is_pending());
    unbegun.truncate(HIGH_WATERMARK - REQUESTS_IN_TURN);
    assert!(blocked.run().await.is_pending());
    other.is_served().await;
}
