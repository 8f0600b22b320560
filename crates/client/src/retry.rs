//! Calls that are made again. No call changes the state of the server, so each may be.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    time::{Duration, Instant},
};

use crate::{Client, Error, deadline::Deadline};

/// The wait before the first retry of a call whose server is not available. It doubles with each retry.
const FIRST: Duration = Duration::from_millis(100);
/// The longest of these waits.
const LONGEST: Duration = Duration::from_secs(5);
/// A server that asks for a longer wait is not waited for, whatever the deadline.
const LONGEST_ASKED: Duration = Duration::from_secs(60);

impl Client {
    /// The result of a call, which is made again where that may help. `call` gets the client with the time that is left, and keeps what
    /// it sends for another try.
    ///
    /// # Errors
    /// The last error of the call.
    pub(crate) async fn retrying<T, F: Future<Output = Result<T, Error>>>(
        &self,
        call: impl Fn(Self) -> F,
    ) -> Result<T, Error> {
        let (began, deadline, mut retry) =
            (Instant::now(), Deadline::after(self.timeout()), Retry::new(self.retries()));
        let mut client = self.clone();
        loop {
            match call(client).await {
                Ok(result) => return Ok(result),
                Err(error) => retry.after(error, deadline).await?,
            }
            client = self.since(began);
        }
    }
}

/// The retries that a call has left.
#[derive(Clone, Copy, Debug)]
struct Retry {
    left: u32,
    backoff: Duration,
}

impl Retry {
    /// A call that may be made again `retries` times.
    fn new(retries: u32) -> Self {
        Self { left: retries, backoff: FIRST }
    }

    /// Waits for the time of the next try of a call that has failed.
    ///
    /// # Errors
    /// The call's error, at once, if it is none that another try may mend, if no retry is left, or if the deadline comes first.
    async fn after(&mut self, error: Error, deadline: Deadline) -> Result<(), Error> {
        let wait = if let Error::Busy { retry_after: Some(delay), .. } = &error {
            *delay
        } else if matches!(error, Error::Busy { .. } | Error::Unavailable { .. }) {
            self.backoff.mul_f64(jitter())
        } else {
            return Err(error);
        };
        if self.left == 0 || wait > LONGEST_ASKED || deadline.comes_within(wait) {
            return Err(error);
        }
        self.left -= 1;
        self.backoff = (self.backoff * 2).min(LONGEST);
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// A random factor from 0.5 to 1, so that clients which were refused together do not come back together.
fn jitter() -> f64 {
    // The keys of each state are random.
    let random = RandomState::new().build_hasher().finish();
    0.5 + random as f64 / u64::MAX as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const NONE: [Duration; 0] = [];

    fn busy(retry_after: Option<Duration>) -> Error {
        Error::Busy { message: String::new(), retry_after }
    }

    fn unavailable() -> Error {
        Error::Unavailable { message: String::new(), source: "down".into() }
    }

    /// The waits of a call that fails with this error again and again.
    async fn waits(retries: u32, deadline: Deadline, error: impl Fn() -> Error) -> Vec<Duration> {
        let (mut retry, mut waits) = (Retry::new(retries), Vec::new());
        loop {
            let began = Instant::now();
            if retry.after(error(), deadline).await.is_err() {
                assert_eq!(began.elapsed(), Duration::ZERO, "the last error comes at once");
                return waits;
            }
            waits.push(began.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_server_says_when_or_the_waits_double() {
        let never = Deadline::after(None);
        let said = Duration::from_millis(1234);
        assert_eq!(waits(3, never, || busy(Some(said))).await, [said; 3]);
        for error in [unavailable as fn() -> Error, || busy(None)] {
            let waits = waits(8, never, error).await;
            let most = [100, 200, 400, 800, 1600, 3200, 5000, 5000].map(Duration::from_millis);
            assert_eq!(waits.len(), most.len());
            // The clock of tokio has milliseconds.
            let least = |most: Duration| most / 2 - Duration::from_millis(1);
            assert!(
                waits.iter().zip(most).all(|(&wait, most)| least(most) <= wait && wait <= most * 101 / 100),
                "{waits:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_try_begins_after_the_deadline_and_other_errors_come_at_once() {
        let second = Duration::from_secs(1);
        let deadline = || Deadline::after(Some(second * 5));
        assert_eq!(waits(100, deadline(), || busy(Some(second * 2))).await.len(), 2);
        assert_eq!(waits(100, deadline(), || busy(Some(second * 6))).await, NONE);
        assert_eq!(waits(0, deadline(), unavailable).await, NONE);
        let never = Deadline::after(None);
        assert_eq!(waits(1, never, || busy(Some(LONGEST_ASKED))).await, [LONGEST_ASKED]);
        assert_eq!(waits(1, never, || busy(Some(LONGEST_ASKED + second))).await, NONE);
        let too_large = || Error::TooLarge { message: String::new() };
        let two_passes = || Error::NeedsTwoPasses { message: String::new() };
        assert_eq!(waits(100, deadline(), too_large).await, NONE);
        assert_eq!(waits(100, deadline(), two_passes).await, NONE);
    }
}
