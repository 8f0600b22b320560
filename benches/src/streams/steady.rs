//! A stream of many gigabytes through a server whose budget is 256 MiB: its rate at the beginning and at the end, and the server's
//! memory.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use evenkeel_client::{Client, DType, NormKind, TensorReader};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    runtime::Runtime,
};

use crate::{
    Result,
    cli::StreamsArgs,
    data::{self, ROW, Tolerance, check_layer_norm},
    goals::Measured,
    process::{Memory, SERVER_CORE},
    record::Record,
    server::Server,
    statistics::Summary,
};

const GIB: u64 = 1 << 30;
const CASE: &str = "a long stream";
/// The streams that are measured, one after another. A GiB takes half a second, and half of that can be the machine's other guests.
const STREAMS: usize = 5;

/// Reads the same bytes again and again.
struct Cycle {
    bytes: Bytes,
    at: usize,
}

/// Compares what is written with the same bytes, again and again, and notes when each GiB was there.
struct Compared {
    expected: Bytes,
    written: u64,
    began: Instant,
    /// The seconds for each GiB.
    gibs: Vec<f64>,
}

pub(super) fn run(arguments: &StreamsArgs, runtime: &Runtime, record: &mut Record) -> Result<()> {
    let place = &arguments.common.place;
    let flags = [
        "--listen",
        "127.0.0.1:0",
        "--log-level",
        "warn",
        "--max-bytes-in-flight",
        "268435456",
        "--max-message-bytes",
        "16777216",
    ];
    let server = Server::evenkeel_with("evenkeel-small", SERVER_CORE, &flags, place)?;
    let (streams, peak) = runtime.block_on(async {
        let client = Client::connect(format!("http://{}", server.address)).await?;
        let bytes = data::float32(16 << 20);
        let mut expected = Vec::new();
        let tensor = TensorReader::new(DType::F32, [bytes.len() / (4 * ROW), ROW], &bytes[..]);
        client.normalize_stream(tensor).kind(NormKind::Layer).send(&mut expected).await?;
        check_layer_norm(&bytes, &expected, Tolerance::Ulp)?;
        let rows = usize::try_from(arguments.gib * GIB)? / (4 * ROW);
        let expected = Bytes::from(expected);
        let mut streams = Vec::new();
        for _ in 0..STREAMS {
            let tensor = TensorReader::new(DType::F32, [rows, ROW], Cycle { bytes: bytes.clone(), at: 0 });
            let expected = expected.clone();
            let mut compared = Compared { expected, written: 0, began: Instant::now(), gibs: Vec::new() };
            client.normalize_stream(tensor).kind(NormKind::Layer).send(&mut compared).await?;
            streams.push(compared.gibs);
        }
        Result::Ok((streams, Memory::Peak.of(server.pid())?))
    })?;
    let rate = |seconds: f64| GIB as f64 / 1e9 / seconds;
    let ends: Option<Vec<_>> = streams.iter().map(|gibs| Some((*gibs.first()?, *gibs.last()?))).collect();
    let ends = ends.ok_or("the stream is shorter than a GiB")?;
    record.figure(CASE, "first GiB", "GB/s", Summary::of(ends.iter().map(|&(first, _)| rate(first))));
    record.figure(CASE, "last GiB", "GB/s", Summary::of(ends.iter().map(|&(_, last)| rate(last))));
    record.figure(CASE, "server", "MiB", Summary::of([peak]));
    record.print(CASE);
    record.goals.push(Measured::new("stream-steady", Summary::of(ends.iter().map(|&(first, last)| first / last))));
    Ok(())
}

impl AsyncRead for Cycle {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let len = buffer.remaining().min(self.bytes.len() - self.at);
        buffer.put_slice(&self.bytes[self.at..][..len]);
        self.at = (self.at + len) % self.bytes.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Compared {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut bytes: &[u8]) -> Poll<io::Result<usize>> {
        let len = bytes.len();
        while !bytes.is_empty() {
            let at = (self.written % self.expected.len() as u64) as usize;
            let here = bytes.len().min(self.expected.len() - at);
            if bytes[..here] != self.expected[at..][..here] {
                return Poll::Ready(Err(io::Error::other(format!("wrong bytes at {}", self.written))));
            }
            let before = self.written / GIB;
            self.written += here as u64;
            if self.written / GIB > before {
                let now = Instant::now();
                let seconds = (now - self.began).as_secs_f64();
                self.gibs.push(seconds);
                self.began = now;
            }
            bytes = &bytes[here..];
        }
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
