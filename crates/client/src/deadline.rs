//! The deadline of a call, whatever state the call is in.
//!
//! tonic's own timer ends when the headers of a response have come: a call would wait without an end for a server that stops
//! after them.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tonic::Status;

/// Longer time limits are taken for this one: neither gRPC's header nor every clock can express the longest ones.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The time limit, or the longest that can be kept.
pub(crate) fn bounded(limit: Duration) -> Duration {
    limit.min(LONGEST)
}

/// The moment at which a call must be done, and its time limit; `None`: the call may take any time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<(Instant, Duration)>);

impl Deadline {
    /// `timeout` from now; `None`: never.
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        Self(timeout.map(bounded).map(|timeout| (Instant::now() + timeout, timeout)))
    }

    pub(crate) fn has_passed(self) -> bool {
        self.0.is_some_and(|(deadline, _)| Instant::now() >= deadline)
    }

    /// Whether the deadline comes within this time.
    pub(crate) fn comes_within(self, time: Duration) -> bool {
        self.0.is_some_and(|(deadline, _)| deadline.saturating_duration_since(Instant::now()) <= time)
    }

    /// The result of a call, if the call ends before the deadline. Otherwise the call is dropped, which resets its stream, so that
    /// the server stops as well.
    pub(crate) async fn end<T, E: From<Status>>(self, call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let Some((deadline, timeout)) = self.0 else { return call.await };
        timeout_at(deadline, call).await.unwrap_or_else(|_| {
            Err(Status::deadline_exceeded(format!("the call did not end within {timeout:?}")).into())
        })
    }
}
