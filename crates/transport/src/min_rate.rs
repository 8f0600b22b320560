//! A timeout for clients that send or take bytes too slowly.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// The least rate, in bytes per second. A client that moves fewer bytes, for longer than a pause may take, holds memory and a
/// stream almost for nothing.
pub const BYTES_PER_SECOND: u64 = 16 << 10;

/// How long a client may take to move so many bytes, beside its pauses.
pub(crate) fn at_least_rate(bytes: usize) -> Duration {
    Duration::from_micros((bytes as u64).saturating_mul(1_000_000) / BYTES_PER_SECOND)
}

/// A timeout that runs while the server waits for a client, and gets time back for the bytes that the client has moved: a second
/// for each [`BYTES_PER_SECOND`].
///
/// It never has more time left than at its beginning: fast clients save no time up, and announced bytes earn none.
#[derive(Debug)]
pub struct MinRateTimeout {
    pause: Duration,
    left: Duration,
    waiting_since: Option<Instant>,
    /// Set at the first wait, and then moved only when it goes off or would go off too late: most calls never wait for long.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl MinRateTimeout {
    /// `pause`: the longest time without a byte; zero waits for ever.
    pub fn new(pause: Duration) -> Self {
        Self { pause, left: pause, waiting_since: None, alarm: None }
    }

    /// Called while the server waits for the client. Ready: the time is over.
    pub fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.pause.is_zero() {
            return Poll::Pending;
        }
        let deadline = *self.waiting_since.get_or_insert_with(Instant::now) + self.left;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if alarm.deadline() > deadline {
            alarm.as_mut().reset(deadline);
        }
        loop {
            ready!(alarm.as_mut().poll(cx));
            if alarm.deadline() >= deadline {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(deadline);
        }
    }

    /// Whether the time is over for a client that has moved so many bytes since the last call of this. Called now and then, where no task
    /// waits for the end of the time.
    pub(crate) fn is_over(&mut self, bytes: usize) -> bool {
        let now = Instant::now();
        let waited = self.waiting_since.replace(now).map_or(Duration::ZERO, |since| now - since);
        let left = (self.left + at_least_rate(bytes)).saturating_sub(waited);
        self.left = self.pause.min(left);
        left.is_zero() && !self.pause.is_zero()
    }

    /// Called when the client has moved so many bytes since the last call of this. With none, the timeout goes on.
    pub fn progressed(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        if let Some(since) = self.waiting_since.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
        self.left = self.pause.min(self.left + at_least_rate(bytes));
    }

    /// Called when there is nothing for the client to move. At the next wait it has the whole pause again.
    pub fn restart(&mut self) {
        (self.left, self.waiting_since) = (self.pause, None);
    }
}

/// What a client has taken of a connection, by the counts that [`Socket::taken`](crate::io::Socket::taken) gives.
#[derive(Debug, Default)]
pub(crate) struct Taken(u64);

impl Taken {
    /// `taken`: the count so far.
    pub(crate) fn since(taken: u64) -> Self {
        Self(taken)
    }

    /// How many bytes the client has taken since this was last asked. `taken`: the count now.
    pub(crate) fn more(&mut self, taken: u64) -> usize {
        let more = taken.saturating_sub(mem::replace(&mut self.0, taken));
        usize::try_from(more).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Waker};

    use super::*;

    const PAUSE: Duration = Duration::from_secs(30);

    fn has_elapsed(timeout: &mut MinRateTimeout) -> bool {
        timeout.poll_elapsed(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_may_be_so_long_and_no_longer() {
        let (mut timeout, began) = (MinRateTimeout::new(PAUSE), Instant::now());
        poll_fn(|cx| timeout.poll_elapsed(cx)).await;
        assert!((PAUSE..PAUSE + Duration::from_millis(2)).contains(&began.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_each_second_buys_next_to_nothing() {
        let mut timeout = MinRateTimeout::new(PAUSE);
        let mut seconds = 0;
        while !has_elapsed(&mut timeout) {
            tokio::time::advance(Duration::from_secs(1)).await;
            seconds += 1;
            if has_elapsed(&mut timeout) {
                break;
            }
            timeout.progressed(1);
        }
        assert_eq!(seconds, 31, "the 30 bytes before bought 2 ms");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_line_and_pauses_between_messages_are_waited_for() {
        let mut timeout = MinRateTimeout::new(PAUSE);
        for _ in 0..1000 {
            assert!(!has_elapsed(&mut timeout));
            tokio::time::advance(Duration::from_secs(25)).await;
            timeout.progressed(25 * BYTES_PER_SECOND as usize);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_time_is_saved_for_later_but_by_a_restart() {
        let mut timeout = MinRateTimeout::new(PAUSE);
        timeout.progressed(1000 * BYTES_PER_SECOND as usize);
        assert!(!has_elapsed(&mut timeout));
        tokio::time::advance(PAUSE - Duration::from_secs(1)).await;
        timeout.progressed(0);
        assert!(!has_elapsed(&mut timeout));
        timeout.restart();
        assert!(!has_elapsed(&mut timeout));
        tokio::time::advance(PAUSE - Duration::from_secs(1)).await;
        assert!(!has_elapsed(&mut timeout));
        tokio::time::advance(Duration::from_millis(1002)).await;
        assert!(has_elapsed(&mut timeout));
    }

    #[tokio::test(start_paused = true)]
    async fn zero_waits_for_ever() {
        let mut timeout = MinRateTimeout::new(Duration::ZERO);
        tokio::time::advance(100 * PAUSE).await;
        assert!(!has_elapsed(&mut timeout));
    }
}
