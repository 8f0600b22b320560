//! Responses whose end HTTP has, and whose last bytes are not written.
//!
//! The body of a response must last as long as its bytes do, but the task that gave HTTP the end has nothing more to do: keeping it
//! takes a timer and a further poll for each call. So the connection keeps the body, and drops it when the connection's own
//! task has written the last byte. The connection also watches the time: HTTP got the end because the client's
//! windows had room for all of the response, and a client may make its windows smaller afterwards. (While the socket takes nothing,
//! [`WriteTimeout`](crate::io::WriteTimeout) runs.)

use std::{
    any::Any,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Context,
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::{handle::ConnectionHandle, min_rate::at_least_rate, send_progress::SendProgress};

/// The ended responses of one connection. The connection's task owns this, and so do the tasks of its requests, which end with it.
#[derive(Debug)]
pub(crate) struct EndedResponses {
    connection: Arc<ConnectionHandle>,
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    responses: Vec<Ended>,
    /// Goes off at the first deadline of a response, or before: later responses have later deadlines, and bytes that are taken move a
    /// deadline on.
    alarm: Option<Pin<Box<Sleep>>>,
}

struct Ended {
    /// It is dropped with this.
    _body: Box<dyn Any + Send>,
    progress: Arc<SendProgress>,
    /// The time that its client has, from this moment on.
    left: Duration,
    since: Instant,
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ended").field("progress", &self.progress).finish_non_exhaustive()
    }
}

impl Ended {
    /// When the time is over. `pause`: the most time that there ever is.
    fn deadline(&mut self, pause: Duration, now: Instant) -> Instant {
        let taken = self.progress.take_written();
        if taken > 0 {
            let time = self.left + at_least_rate(taken);
            self.left = time.saturating_sub(now - self.since).min(pause);
            self.since = now;
        }
        self.since + self.left
    }
}

impl EndedResponses {
    /// `pause`: how long the client may take nothing of a response; zero: for ever. Bytes that it takes give it time back, a second
    /// for each [`BYTES_PER_SECOND`](crate::BYTES_PER_SECOND), though never more than `pause`.
    pub(crate) fn new(connection: Arc<ConnectionHandle>, pause: Duration) -> Self {
        Self { connection, pause, state: Mutex::default() }
    }

    pub(crate) fn connection(&self) -> &Arc<ConnectionHandle> {
        &self.connection
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No state is left half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps `body` until all of its response is written or lost. Called before HTTP gets the end of the response, since HTTP then
    /// wakes the connection's task, which finds the response.
    pub(crate) fn keep(&self, body: impl Any + Send, progress: &Arc<SendProgress>) {
        if progress.unwritten() > 0 {
            self.add(Box::new(body), progress);
        }
    }

    fn add(&self, body: Box<dyn Any + Send>, progress: &Arc<SendProgress>) {
        // What was written before gives no time.
        progress.take_written();
        let ended = Ended { _body: body, progress: Arc::clone(progress), left: self.pause, since: Instant::now() };
        self.state().responses.push(ended);
        // The last byte may have been written before the connection's task could find the response.
        if progress.unwritten() == 0 {
            self.connection.wrote_response();
        }
    }

    /// Drops the bodies of the responses that are written or lost. Stalls the connection if its client does not take the rest of one
    /// in time: a stream that has its end cannot be reset any more.
    ///
    /// The connection's task calls this when it has written what it can and holds no lock of HTTP's: a body may own the stream of
    /// its request.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) {
        let state = &mut *self.state();
        if self.connection.take_wrote_response() {
            state.responses.retain(|ended| ended.progress.unwritten() > 0);
        }
        if self.pause.is_zero() {
            return;
        }
        loop {
            if let Some(alarm) = &mut state.alarm {
                if alarm.as_mut().poll(cx).is_pending() {
                    return;
                }
                state.alarm = None;
            }
            let (now, mut first) = (Instant::now(), None::<Instant>);
            let mut is_overdue = false;
            for ended in &mut state.responses {
                let deadline = ended.deadline(self.pause, now);
                first = Some(first.map_or(deadline, |first| first.min(deadline)));
                if deadline <= now {
                    ended.progress.give_up();
                    is_overdue = true;
                }
            }
            let Some(first) = first else {
                state.responses.shrink_to_fit();
                return;
            };
            if is_overdue {
                self.connection.stall();
                return;
            }
            state.alarm = Some(Box::pin(sleep_until(first)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        task::{Poll, Waker},
    };

    use tokio::time::advance;

    use super::*;
    use crate::min_rate::BYTES_PER_SECOND;

    const PAUSE: Duration = Duration::from_secs(30);
    const SECOND: Duration = Duration::from_secs(1);
    const RATE: usize = BYTES_PER_SECOND as usize;

    fn responses(pause: Duration) -> EndedResponses {
        EndedResponses::new(ConnectionHandle::new(Arc::default()), pause)
    }

    /// A response at its end of which so many bytes are not written. Its body, which is kept, owns the second value.
    fn ended(responses: &EndedResponses, unwritten: usize) -> (Arc<SendProgress>, Arc<()>) {
        let (progress, body) = (Arc::<SendProgress>::default(), Arc::new(()));
        progress.set_connection(responses.connection());
        progress.gave(unwritten);
        progress.end();
        responses.keep(Arc::clone(&body), &progress);
        (progress, body)
    }

    fn is_kept(body: &Arc<()>) -> bool {
        Arc::strong_count(body) > 1
    }

    fn is_overdue(responses: &EndedResponses) -> bool {
        responses.poll(&mut Context::from_waker(Waker::noop()));
        responses.connection().is_stalled()
    }

    /// Polls as the connection's task does, until that would end.
    async fn overdue(responses: &EndedResponses) {
        let stalled = poll_fn(|cx| {
            responses.poll(cx);
            if responses.connection().is_stalled() { Poll::Ready(()) } else { Poll::Pending }
        });
        stalled.await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_kept_until_its_last_byte_is_written_or_lost() {
        let responses = responses(PAUSE);
        let (first, first_body) = ended(&responses, 2);
        let (second, second_body) = ended(&responses, 2);
        assert!(!is_overdue(&responses) && is_kept(&first_body) && is_kept(&second_body));
        second.wrote(1);
        assert!(!is_overdue(&responses) && is_kept(&second_body), "a byte is left");
        second.wrote(1);
        assert!(is_kept(&second_body), "the writer may hold a lock of HTTP's");
        assert!(!is_overdue(&responses) && !is_kept(&second_body) && is_kept(&first_body));
        first.lost(2);
        assert!(!is_overdue(&responses) && !is_kept(&first_body));
        let (_, body) = ended(&responses, 0);
        assert!(!is_kept(&body), "it was written before its end");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_after_its_last_byte_was_written_is_dropped() {
        let (responses, progress, body) = (responses(PAUSE), Arc::<SendProgress>::default(), Arc::new(()));
        progress.gave(1);
        progress.wrote(1);
        responses.add(Box::new(Arc::clone(&body)), &progress);
        assert!(is_kept(&body) && !is_overdue(&responses) && !is_kept(&body));
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_may_be_left_for_a_pause_however_long_it_is() {
        for bytes in [1, 1000 * RATE] {
            let responses = responses(PAUSE);
            let began = Instant::now();
            let (first, _) = ended(&responses, bytes);
            assert!(!is_overdue(&responses));
            advance(PAUSE / 3).await;
            let (second, _) = ended(&responses, 1);
            overdue(&responses).await;
            assert!((PAUSE..PAUSE + SECOND).contains(&began.elapsed()), "{:?}", began.elapsed());
            assert_eq!((first.is_given_up(), second.is_given_up()), (true, false));
        }
    }

    /// However many bytes are taken at once, they give no more time than a pause.
    #[tokio::test(start_paused = true)]
    async fn bytes_that_were_taken_buy_a_pause_at_most() {
        let responses = responses(PAUSE);
        let began = Instant::now();
        let (progress, _) = ended(&responses, 1000 * RATE);
        assert!(!is_overdue(&responses));
        progress.wrote(999 * RATE);
        overdue(&responses).await;
        assert!((PAUSE..2 * PAUSE + SECOND).contains(&began.elapsed()), "{:?}", began.elapsed());
        assert!(progress.is_given_up());
    }

    /// A client that takes half the rate has time for as many bytes as it takes in two pauses, whenever it is looked at.
    #[tokio::test(start_paused = true)]
    async fn a_response_that_is_taken_at_half_the_rate_is_given_up_after_two_pauses() {
        for step in [SECOND, SECOND / 100] {
            let responses = responses(PAUSE);
            let began = Instant::now();
            let (progress, _) = ended(&responses, 1000 * RATE);
            while !is_overdue(&responses) {
                advance(step).await;
                progress.wrote((RATE as f64 * step.as_secs_f64() / 2.0) as usize);
                assert!(began.elapsed() < 3 * PAUSE);
            }
            assert!((PAUSE..2 * PAUSE + SECOND).contains(&began.elapsed()), "{:?}", began.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_that_were_written_before_the_end_buy_nothing() {
        let (responses, progress) = (responses(PAUSE), Arc::<SendProgress>::default());
        // Its alarm is the next moment at which bytes are counted.
        let (first, _) = ended(&responses, 1);
        assert!(!is_overdue(&responses));
        first.wrote(1);
        advance(PAUSE / 2).await;
        let began = Instant::now();
        progress.set_connection(responses.connection());
        progress.gave(1000 * RATE);
        progress.wrote(999 * RATE);
        progress.end();
        responses.keep((), &progress);
        overdue(&responses).await;
        assert!((PAUSE..PAUSE + SECOND).contains(&began.elapsed()), "{:?}", began.elapsed());
    }

    /// The alarm of the first response stands when that is written.
    #[tokio::test(start_paused = true)]
    async fn an_alarm_finds_the_next_response() {
        let responses = responses(PAUSE);
        let began = Instant::now();
        let (first, _) = ended(&responses, 1);
        assert!(!is_overdue(&responses));
        first.wrote(1);
        advance(PAUSE / 2).await;
        let (second, _) = ended(&responses, 1);
        overdue(&responses).await;
        assert!((PAUSE * 3 / 2..PAUSE * 3 / 2 + SECOND).contains(&began.elapsed()), "{:?}", began.elapsed());
        assert_eq!((first.is_given_up(), second.is_given_up()), (false, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_that_is_taken_at_the_least_rate_is_waited_for() {
        let responses = responses(PAUSE);
        let (progress, body) = ended(&responses, 100 * RATE);
        for _ in 0..100 {
            assert!(!is_overdue(&responses) && is_kept(&body));
            advance(SECOND).await;
            progress.wrote(RATE);
        }
        assert!(!is_overdue(&responses) && !is_kept(&body));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_timeout_a_response_is_waited_for() {
        let responses = responses(Duration::ZERO);
        let (_progress, body) = ended(&responses, 1);
        advance(100 * PAUSE).await;
        assert!(!is_overdue(&responses) && is_kept(&body));
    }
}
