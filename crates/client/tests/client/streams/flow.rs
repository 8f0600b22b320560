//! A writer that is slow holds the reader back.

use std::{
    io,
    num::NonZeroUsize,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use evenkeel::{config::ServerConfig, server::Running};
use evenkeel_client::{Client, DType, TensorReader};
use ndarray::array;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{TestResult, until::within};

/// Many times as many bytes as may be on their way.
const TOTAL: u64 = 64 << 20;
/// Windows of 64 KiB, chunks of 16 KiB and the buffers of both ends have room for less.
const MOST_ON_ITS_WAY: u64 = 2 << 20;
/// So many calls beside the stream come to their end while nothing is read.
const STEADY_CALLS: usize = 50;

/// Zeros, of which it counts how many were taken.
struct Counting(Arc<AtomicU64>);

impl AsyncRead for Counting {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let len = buffer.remaining();
        buffer.put_slice(&vec![0; len]);
        self.0.fetch_add(len as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

/// Writes nothing until it is opened, and counts then.
#[derive(Default)]
struct Gate {
    is_open: AtomicBool,
    written: AtomicU64,
    waiting: std::sync::Mutex<Option<Waker>>,
}

struct Gated(Arc<Gate>);

impl AsyncWrite for Gated {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        *self.0.waiting.lock().expect("no test panics with it") = Some(cx.waker().clone());
        if !self.0.is_open.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        self.0.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn nothing_is_read_while_nothing_can_be_written() -> TestResult {
    let mut config = ServerConfig { max_stream_chunk_bytes: 16 << 10, ..ServerConfig::on_free_port() };
    config.transport.stream_window_bytes = 64 << 10;
    let server = Running::start(config).await?;
    let settings = Client::builder().stream_window_bytes(64 << 10).connections(NonZeroUsize::MIN);
    let client = settings.connect(server.url()).await?;

    let (taken, gate) = (Arc::new(AtomicU64::new(0)), Arc::new(Gate::default()));
    let input = TensorReader::new(DType::F32, [TOTAL as usize / 4], Counting(Arc::clone(&taken)));
    let mut stream = pin!(client.dropout_stream(input, 0.5, 1).send(Gated(Arc::clone(&gate))));

    // Another call over the same connection goes through, again and again, and in the end nothing was read meanwhile.
    let beside = client.clone();
    let steady = async {
        let (mut calls, mut before) = (0, 0);
        while calls < STEADY_CALLS {
            beside.dropout(array![1.0_f32], 0.5, 1).send().await?;
            let now = taken.load(Ordering::Relaxed);
            let is_blocked = gate.waiting.lock().expect("no test panics with it").is_some();
            calls = if is_blocked && now == before { calls + 1 } else { 0 };
            before = now;
        }
        Ok::<_, evenkeel_client::Error>(before)
    };
    let on_its_way = tokio::select! {
        ended = &mut stream => panic!("nothing was written: {ended:?}"),
        on_its_way = within("the reader is held back", steady) => on_its_way?,
    };
    assert!(on_its_way > 0 && on_its_way <= MOST_ON_ITS_WAY, "{on_its_way} bytes were read");

    gate.is_open.store(true, Ordering::Release);
    let waker = gate.waiting.lock().expect("no test panics with it").take();
    waker.expect("the writer waits").wake();
    within("the end of the stream", stream).await?;
    assert_eq!((taken.load(Ordering::Relaxed), gate.written.load(Ordering::Relaxed)), (TOTAL, TOTAL));
    Ok(())
}
