//! Tasks that are aborted when their future is dropped: several at once, and blocking work off the threads that carry calls.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::stream::{self, StreamExt as _};
use tokio::task::{JoinHandle, spawn_blocking};

use super::error::Error;

/// A task that is aborted when this is dropped.
struct Task<T>(JoinHandle<T>);

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match ready!(Pin::new(&mut self.0).poll(cx)) {
            Ok(done) => Poll::Ready(done),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends, since the command was interrupted, and this task with it.
                Err(_) => Poll::Pending,
            },
        }
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs all of this work, `at_once` at a time; the results are in order. The first error ends it.
pub(super) async fn all<T, E, W>(at_once: usize, work: impl Iterator<Item = W>) -> Result<Vec<T>, E>
where
    T: Send + 'static,
    E: Send + 'static,
    W: Future<Output = Result<T, E>> + Send + 'static,
{
    let mut running = stream::iter(work.map(|work| Task(tokio::spawn(work)))).buffered(at_once);
    let mut done = Vec::new();
    while let Some(result) = running.next().await {
        done.push(result?);
    }
    Ok(done)
}

/// Runs work that waits for a disk or computes, off the threads that carry calls.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    Task(spawn_blocking(work)).await
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    /// A runtime that ends aborts tasks in any order, also one that another still waits for.
    #[tokio::test]
    async fn a_task_that_the_runtime_ends_is_not_a_panic() {
        let running = tokio::spawn(std::future::pending::<()>());
        let runtime = running.abort_handle();
        let mut waited_for = Task(running);
        runtime.abort();
        while !runtime.is_finished() {
            tokio::task::yield_now().await;
        }
        assert!(poll!(&mut waited_for).is_pending());
    }
}
