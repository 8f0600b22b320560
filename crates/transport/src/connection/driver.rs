//! Decides when a connection ends: because of its age, because it has no requests, because many of them were reset, or because
//! the server drains.

use std::{future::poll_fn, pin::Pin, sync::Arc, time::Duration};

use hyper::Error;
use hyper_util::server::graceful::GracefulConnection;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{
    ended::EndedResponses,
    handle::ConnectionHandle,
    io::{Keeps, Next, SharedIo, Socket, Version},
    metrics::Metrics,
    min_rate::{MinRateTimeout, Taken},
    settings::Settings,
};

/// How long a client without calls has to close its connection once it was told to.
const CLOSING: Duration = Duration::from_secs(5);
/// The same while the server drains: such a client may be all that the drain waits for.
const CLOSING_LAST: Duration = Duration::from_secs(1);

/// The next step of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// Nothing, before this moment.
    Wait(Option<Instant>),
    /// Tell the client to go, and why.
    GoAway(Why),
    /// Close it, whatever is open on it.
    Abort,
    /// Close it, since no request is open on it and nothing waits for its socket.
    Close,
    /// Close it: the client has not sent its preface in time.
    HandshakeTimeout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Age,
    Idle,
    WornOut,
}

/// The times from which the next step of a connection follows.
#[derive(Clone, Copy, Debug)]
struct State {
    began: Instant,
    /// How long it may live: a little more or less than others, so that not all clients come back at once.
    age: Option<Duration>,
    /// When the client was told to go, and when its calls must have ended.
    goaway_sent: Option<(Instant, Option<Instant>)>,
    /// How long the client has to close the connection then, once no request is open on it.
    closing: Duration,
}

impl State {
    fn next(&self, connection: &ConnectionHandle, settings: &Settings, now: Instant) -> Action {
        let mut wake: Option<Instant> = None;
        // Whether the moment has come. If not, the driver wakes at it.
        let mut reached = |moment: Instant| {
            if now >= moment {
                return true;
            }
            wake = Some(wake.map_or(moment, |wake| wake.min(moment)));
            false
        };
        if !connection.preface().has_come() {
            let timeout = self.began + settings.handshake_timeout;
            return if reached(timeout) { Action::HandshakeTimeout } else { Action::Wait(Some(timeout)) };
        }
        let quiet_since = connection.quiet_since();
        if let Some((told, end)) = self.goaway_sent {
            if end.is_some_and(&mut reached) {
                return Action::Abort;
            }
            if quiet_since.is_some_and(|since| reached(since.max(told) + self.closing)) {
                return Action::Close;
            }
            // Nothing tells the driver when the last open request ends, so it looks again after this time.
            return Action::Wait(Some(wake.unwrap_or(now + self.closing).min(now + self.closing)));
        }
        if connection.is_worn_out() {
            return Action::GoAway(Why::WornOut);
        }
        if self.age.is_some_and(|age| reached(self.began + age)) {
            return Action::GoAway(Why::Age);
        }
        if !settings.idle_timeout.is_zero() && reached(quiet_since.unwrap_or(now) + settings.idle_timeout) {
            return Action::GoAway(Why::Idle);
        }
        Action::Wait(wake)
    }

    /// Called when the client is told to go, with the reason.
    fn told(&mut self, why: Why, settings: &Settings, now: Instant) {
        let grace = Some(settings.max_connection_age_grace).filter(|grace| !grace.is_zero());
        let end = match why {
            Why::Age => grace.map(|grace| now + grace),
            // The requests that come all the same have as long as if the connection went on.
            Why::Idle | Why::WornOut => self.age.zip(grace).map(|(age, grace)| self.began + age + grace),
        };
        self.goaway_sent = Some((now, end));
    }
}

/// How HTTP has ended on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// HTTP has ended by itself, and has written all that it had to, such as the reason why it refuses the client.
    Finished,
    /// The driver has cut it off.
    Cut,
}

/// Watches a connection, and ends it.
pub(super) struct Driver {
    pub(super) connection: Arc<ConnectionHandle>,
    pub(super) ended: Arc<EndedResponses>,
    pub(super) settings: Arc<Settings>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) draining: watch::Receiver<bool>,
    pub(super) began: Instant,
    pub(super) version: Version,
}

impl Driver {
    /// Runs HTTP over this stream until either side ends it.
    pub(super) async fn drive<C, T>(self, mut http: Pin<Box<C>>, io: &SharedIo<T>) -> End
    where
        C: GracefulConnection<Error = Error>,
        T: Keeps + Socket,
    {
        let Self { connection, ended, settings, metrics, mut draining, began, version } = self;
        let age = (!settings.max_connection_age.is_zero()).then(|| jittered(settings.max_connection_age));
        let mut state = State { began, age, goaway_sent: None, closing: CLOSING };
        let mut drains = false;
        // The time of a client that does not take what the system has to send.
        let mut leaving = None;
        loop {
            let now = Instant::now();
            let wake = match state.next(&connection, &settings, now) {
                Action::Wait(wake) => wake,
                Action::GoAway(why) => {
                    let told_to_go = match why {
                        Why::Age => &metrics.connections_aged,
                        Why::Idle => &metrics.connections_idle,
                        Why::WornOut => &metrics.connections_worn_out,
                    };
                    told_to_go.add_one();
                    state.told(why, &settings, now);
                    http.as_mut().graceful_shutdown();
                    continue;
                }
                Action::Close
                    if io.has_unsent()
                        && !leaving.get_or_insert_with(|| Leaving::new(settings.send_timeout)).is_over(io.taken()) =>
                {
                    connection.quiet_from_now();
                    continue;
                }
                Action::Abort | Action::Close => {
                    metrics.connections_cut.add_one();
                    connection.cut();
                    tracing::debug!("cut off a connection that was told to go");
                    return End::Cut;
                }
                Action::HandshakeTimeout => {
                    metrics.handshakes_timed_out.add_one();
                    return End::Cut;
                }
            };
            tokio::select! {
                biased;
                served = poll_fn(|cx| loop {
                    let polled = http.as_mut().poll(cx);
                    if polled.is_ready() || io.lock().http_waits(cx) == Next::Wait {
                        ended.poll(cx);
                        return polled;
                    }
                }) => {
                    if let Err(error) = &served {
                        // HTTP/1.1 waits for the headers of the next request so long, and then ends a connection that is idle.
                        if version == Version::Http1 && error.is_timeout() {
                            metrics.connections_idle.add_one();
                        }
                        tracing::debug!(%error, source = ?std::error::Error::source(error), "a connection failed");
                    }
                    return End::Finished;
                }
                () = connection.stalled() => return End::Cut,
                () = connection.worn_out(), if !connection.is_worn_out() => (),
                // An error means that the `Transport` was dropped.
                _ = draining.wait_for(|&draining| draining), if !drains => {
                    drains = true;
                    if !connection.preface().has_come() {
                        return End::Cut;
                    }
                    state.closing = CLOSING_LAST;
                    state.goaway_sent.get_or_insert((Instant::now(), None));
                    http.as_mut().graceful_shutdown();
                }
                // The handshake timeout is over, and the idle timeout and the age count from here on.
                () = connection.preface().wait(), if !connection.preface().has_come() => (),
                () = sleep_until(wake.unwrap_or(now)), if wake.is_some() => (),
            }
        }
    }
}

/// The time that a client has to take what the system has to send.
struct Leaving {
    timeout: MinRateTimeout,
    taken: Taken,
}

impl Leaving {
    fn new(pause: Duration) -> Self {
        Self { timeout: MinRateTimeout::new(pause), taken: Taken::default() }
    }

    /// Whether the time is over for a client that has taken so many bytes of the connection.
    fn is_over(&mut self, taken: u64) -> bool {
        self.timeout.is_over(self.taken.more(taken))
    }
}

/// `age`, made longer or shorter by up to a tenth, at random.
fn jittered(age: Duration) -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    // Each new `RandomState` has random keys.
    let chance = RandomState::new().hash_one(0) % 2001;
    age.mul_f64(0.9 + chance as f64 / 10_000.0)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::{handle::OpenRequest, min_rate::BYTES_PER_SECOND};

    /// A connection that is worn out, or not, whose client has sent its preface.
    fn connection(is_worn_out: bool) -> Arc<ConnectionHandle> {
        let connection = ConnectionHandle::new(Arc::default());
        connection.preface().came();
        if is_worn_out {
            connection.wear_out();
        }
        connection
    }

    #[test]
    fn the_client_of_a_worn_out_connection_is_told_to_go_and_closes_in_time() {
        let began = Instant::now();
        let mut state = State { began, age: None, goaway_sent: None, closing: CLOSING };
        let settings = Settings::default();
        assert!(matches!(state.next(&connection(false), &settings, began), Action::Wait(_)));
        let connection = connection(true);
        let told = began + Duration::from_secs(100);
        assert_eq!(state.next(&connection, &settings, told), Action::GoAway(Why::WornOut));
        state.told(Why::WornOut, &settings, told);
        let closed = told + CLOSING;
        assert_eq!(state.next(&connection, &settings, told), Action::Wait(Some(closed)));
        assert_eq!(state.next(&connection, &settings, closed), Action::Close);
        let request = OpenRequest::new(&connection);
        let later = began + Duration::from_secs(1_000_000);
        assert_eq!(state.next(&connection, &settings, later), Action::Wait(Some(later + CLOSING)), "a request is open");
        drop(request);
        assert_eq!(state.next(&connection, &settings, later), Action::Close);
    }

    #[test]
    fn requests_of_a_worn_out_connection_end_when_its_age_would_have_ended_them() {
        let (began, age, grace) = (Instant::now(), Duration::from_secs(1000), Duration::from_secs(50));
        for (age, grace, is_cut) in [(Some(age), grace, true), (Some(age), Duration::ZERO, false), (None, grace, false)]
        {
            let mut state = State { began, age, goaway_sent: None, closing: CLOSING };
            let settings = Settings { max_connection_age_grace: grace, ..Settings::default() };
            let connection = connection(true);
            let _request = OpenRequest::new(&connection);
            state.told(Why::WornOut, &settings, began + Duration::from_secs(10));
            let ends = |after| {
                let now = began + Duration::from_secs(after);
                state.next(&connection, &settings, now) == Action::Abort
            };
            assert!(!ends(1049));
            assert_eq!(ends(1050), is_cut);
        }
    }

    /// A request may come while the client is told to go.
    #[test]
    fn a_connection_that_was_idle_ages_all_the_same() {
        let (began, age, grace) = (Instant::now(), Duration::from_secs(100), Duration::from_secs(20));
        let mut state = State { began, age: Some(age), goaway_sent: None, closing: CLOSING };
        let settings = Settings { max_connection_age_grace: grace, ..Settings::default() };
        let connection = connection(false);
        state.told(Why::Idle, &settings, began + Duration::from_secs(10));
        let _request = OpenRequest::new(&connection);
        assert!(matches!(state.next(&connection, &settings, began + Duration::from_secs(119)), Action::Wait(_)));
        assert_eq!(state.next(&connection, &settings, began + age + grace), Action::Abort);
    }

    /// How long a client that takes so many bytes each second has to take what the system holds, within a thousand seconds.
    async fn has_time(each_second: u64) -> u64 {
        let mut leaving = Leaving::new(Duration::from_secs(30));
        let begin = Instant::now();
        for second in 0..1000 {
            if leaving.is_over(5 + second * each_second) {
                break;
            }
            advance(Duration::from_secs(1)).await;
        }
        begin.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_when_its_client_no_longer_takes_what_the_system_holds() {
        assert_eq!(has_time(0).await, 30);
        assert_eq!(has_time(BYTES_PER_SECOND).await, 1000);
        assert!((31..200).contains(&has_time(BYTES_PER_SECOND / 2).await));
    }

    #[test]
    fn ages_are_spread_by_a_tenth() {
        let age = Duration::from_secs(1000);
        let ages: Vec<Duration> = (0..100).map(|_| jittered(age)).collect();
        assert!(ages.iter().all(|age| (900..=1100).contains(&age.as_secs())), "{ages:?}");
        assert!(ages.iter().any(|age| *age != ages[0]));
    }
}
