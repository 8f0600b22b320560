//! When a call must be done, whatever state it is in.
//!
//! tonic's own timer ends when the headers of an answer have come, and a server that stops after them would be waited for
//! without an end.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tonic::Status;

/// Longer time limits are taken for this one: neither gRPC nor every clock can tell longer ones.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The time limit, or the longest that can be kept.
pub(crate) fn bounded(limit: Duration) -> Duration {
    limit.min(LONGEST)
}

/// When a call must be done, and how long it has until then.
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

    /// What a call comes to, if it does before the deadline. A call that does not is dropped, and its server told.
    pub(crate) async fn end<T, E: From<Status>>(self, call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let Some((deadline, timeout)) = self.0 else { return call.await };
        timeout_at(deadline, call).await.unwrap_or_else(|_| {
            Err(Status::deadline_exceeded(format!("the call did not end within {timeout:?}")).into())
        })
    }
}
