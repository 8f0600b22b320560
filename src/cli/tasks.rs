//! Tasks that end with those who wait for them: several at once, and what would block the threads that carry calls.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::stream::{self, StreamExt as _};
use tokio::task::{JoinHandle, spawn_blocking};

use super::error::Error;

/// Pieces that are under way at once: while one is read and one is written, the server has two.
const AT_ONCE: usize = 4;

/// A task that ends with whoever waits for it.
struct Task<T>(JoinHandle<T>);

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx).map(|done| match done {
            Ok(done) => done,
            // Nobody else aborts it.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        })
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Does all of this, several at once; the results are in order. The first error ends it.
pub(super) async fn all<T, E, W>(work: impl Iterator<Item = W>) -> Result<Vec<T>, E>
where
    T: Send + 'static,
    E: Send + 'static,
    W: Future<Output = Result<T, E>> + Send + 'static,
{
    let mut running = stream::iter(work.map(|work| Task(tokio::spawn(work)))).buffered(AT_ONCE);
    let mut done = Vec::new();
    while let Some(result) = running.next().await {
        done.push(result?);
    }
    Ok(done)
}

/// Does what waits for a disk or computes, away from the threads that carry calls.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    Task(spawn_blocking(work)).await
}
