//! Many connections that send all the requests they may have open at once.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use evenkeel_testing::until::within;
use evenkeel_transport::Settings;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
};

use crate::running::start;

const CONNECTIONS: usize = 100;
const REQUESTS: usize = 256;

/// Answers at once, and counts requests.
#[derive(Clone, Debug, Default)]
struct Counting {
    /// The requests that were read and whose answer was not begun.
    unbegun: Arc<AtomicUsize>,
    /// The most of them at once.
    most: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
    all: Arc<Notify>,
}

impl Counting {
    fn answer(&self) -> impl Future<Output = Bytes> + use<> {
        let unbegun = self.unbegun.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(unbegun, Ordering::SeqCst);
        let counting = self.clone();
        poll_fn(move |_| {
            counting.unbegun.fetch_sub(1, Ordering::SeqCst);
            if counting.answered.fetch_add(1, Ordering::SeqCst) + 1 == CONNECTIONS * REQUESTS {
                counting.all.notify_one();
            }
            Poll::Ready(Bytes::new())
        })
    }
}

/// The preface, empty settings, and requests of 15 bytes each: `POST http://a/`, without a body.
fn burst() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for request in 0..REQUESTS {
        let stream = u32::try_from(2 * request + 1).expect("it is small").to_be_bytes();
        // Six bytes of headers; END_STREAM and END_HEADERS.
        bytes.extend([0, 0, 6, 1, 5]);
        bytes.extend(stream);
        bytes.extend(b"\x83\x86\x84\x41\x01a");
    }
    bytes
}

/// A connection may have 256 requests open at once. Connections read on only when requests that were read have begun: some 1,060
/// of the 25,600 wait at once here, and all of them if connections do not wait.
#[tokio::test]
async fn a_burst_on_all_connections_is_read_as_it_is_served() {
    const MOST: usize = 4 * 1024;
    let counting = Counting::default();
    let answering = counting.clone();
    let running = start(Settings::default(), Duration::ZERO, move |_| answering.answer());
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        streams.push(TcpStream::connect(running.address).await.expect("the server listens"));
    }
    let bytes = burst();
    for stream in &mut streams {
        stream.write_all(&bytes).await.expect("it is taken");
    }
    for stream in streams {
        tokio::spawn(async move {
            let (mut stream, mut bytes) = (stream, vec![0; 1 << 16]);
            while matches!(stream.read(&mut bytes).await, Ok(1..)) {}
        });
    }
    within("every request is answered", counting.all.notified()).await;
    let most = counting.most.load(Ordering::SeqCst);
    assert!((REQUESTS..MOST).contains(&most), "{most} requests were read and waited");
    drop(running.shutdown);
    // Requests that are open then are cut off.
    let _ = running.served.await.expect("it does not panic");
}
