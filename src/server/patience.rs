//! How long a client is waited for.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// A second of patience for this many bytes: a client that sends or takes less than that, for longer than a pause may
/// be, holds memory and a stream for next to nothing.
const BYTES_PER_SECOND: u64 = 16 << 10;

/// A time that runs while a client is waited for, and comes back with the bytes that it moves.
#[derive(Debug)]
pub(super) struct Patience {
    full: Duration,
    left: Duration,
    waiting_since: Option<Instant>,
    /// Set when it is first needed, and then only moved when it goes off: most calls never wait for long.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// `full`: the longest pause; zero waits for ever.
    pub(super) fn new(full: Duration) -> Self {
        Self { full, left: full, waiting_since: None, alarm: None }
    }

    /// The client is waited for; ready: it was for long enough.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.full.is_zero() {
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

    /// The client has moved so many bytes: time comes back, but never more than there was in the beginning.
    pub(super) fn moved(&mut self, bytes: usize) {
        if let Some(since) = self.waiting_since.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
        self.left = self.full.min(self.left + worth(bytes));
    }

    /// The client has to take so many bytes from now on.
    pub(super) fn begin(&mut self, bytes: usize) {
        self.waiting_since = None;
        self.left = self.full + worth(bytes);
    }
}

fn worth(bytes: usize) -> Duration {
    Duration::from_micros((bytes as u64).saturating_mul(1_000_000) / BYTES_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Waker};

    use super::*;

    const FULL: Duration = Duration::from_secs(30);

    fn is_over(patience: &mut Patience) -> bool {
        patience.poll_over(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_may_be_so_long_and_no_longer() {
        let (mut patience, began) = (Patience::new(FULL), Instant::now());
        poll_fn(|cx| patience.poll_over(cx)).await;
        assert!((FULL..FULL + Duration::from_millis(2)).contains(&began.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_each_second_buys_next_to_nothing() {
        let mut patience = Patience::new(FULL);
        let mut seconds = 0;
        while !is_over(&mut patience) {
            tokio::time::advance(Duration::from_secs(1)).await;
            seconds += 1;
            if is_over(&mut patience) {
                break;
            }
            patience.moved(1);
        }
        assert_eq!(seconds, 31, "the 30 bytes before bought 2 ms");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_line_and_pauses_between_messages_are_waited_for() {
        let mut patience = Patience::new(FULL);
        for _ in 0..1000 {
            assert!(!is_over(&mut patience));
            tokio::time::advance(Duration::from_secs(25)).await;
            patience.moved(25 * BYTES_PER_SECOND as usize);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_to_be_taken_has_time_by_its_length() {
        let mut patience = Patience::new(FULL);
        patience.begin(100 * BYTES_PER_SECOND as usize);
        assert!(!is_over(&mut patience));
        tokio::time::advance(Duration::from_secs(129)).await;
        assert!(!is_over(&mut patience));
        // A short piece after a long one has less time, not what is left of the long one's.
        patience.begin(0);
        assert!(!is_over(&mut patience));
        tokio::time::advance(FULL + Duration::from_millis(2)).await;
        assert!(is_over(&mut patience));
    }

    #[tokio::test(start_paused = true)]
    async fn zero_waits_for_ever() {
        let mut patience = Patience::new(Duration::ZERO);
        tokio::time::advance(100 * FULL).await;
        assert!(!is_over(&mut patience));
    }
}
