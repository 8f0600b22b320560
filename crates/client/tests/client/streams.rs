//! Tensors that are read and written while they travel.

mod clip;
mod dropout;
mod failures;
mod flow;
mod given_up;
mod lies;
mod more_lies;
mod normalize;
mod switch;
mod two_passes;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use evenkeel::{config::ServerConfig, server::Running};
use evenkeel_client::{Client, Element};
use ndarray::{Array, Array3, ArrayView, Dimension};
use tokio::io::{AsyncRead, ReadBuf};

/// A server that sends short chunks, and takes short messages, and a client of it.
async fn start_small() -> Result<(Running, Client), Box<dyn std::error::Error>> {
    let config =
        ServerConfig { max_stream_chunk_bytes: 2048, max_message_bytes: 16 << 10, ..ServerConfig::on_free_port() };
    let server = Running::start(config).await?;
    let client = Client::connect(server.url()).await?;
    Ok((server, client))
}

fn cube<A>(shape: (usize, usize, usize), convert: impl Fn(f64) -> A) -> Array3<A> {
    Array3::from_shape_fn(shape, |(i, j, k)| convert(((31 * i + 17 * j + 7 * k) % 1023) as f64 / 8.0 - 50.0))
}

/// The elements of an array as files have them.
fn bytes_of<A: Element, D: Dimension>(array: ArrayView<'_, A, D>) -> Vec<u8> {
    evenkeel_client::Tensor::from(array).into_le_bytes().to_vec()
}

/// What a stream has written, as an array.
fn array_of<A: Element, D: Dimension>(dim: D, bytes: &[u8]) -> Array<A, D> {
    let tensor = evenkeel_client::Tensor::from_le_bytes(A::DTYPE, dim.slice(), bytes).expect("every byte came");
    tensor.try_into().expect("it has the type and the rank that were asked for")
}

/// A reader that gives a few bytes at a time, and waits between them.
struct Dripping<'a> {
    bytes: &'a [u8],
    turn: usize,
}

impl<'a> Dripping<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, turn: 0 }
    }
}

impl AsyncRead for Dripping<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.turn += 1;
        if self.turn.is_multiple_of(3) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let len = (self.turn * 37 % 301)
            .min(self.bytes.len())
            .min(buffer.remaining())
            .max(usize::from(!self.bytes.is_empty()));
        let (here, rest) = self.bytes.split_at(len);
        buffer.put_slice(here);
        self.bytes = rest;
        Poll::Ready(Ok(()))
    }
}
