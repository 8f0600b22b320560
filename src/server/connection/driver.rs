//! What decides when a connection ends: its age, its silence, and the end of the server.

use std::{pin::Pin, sync::Arc, time::Duration};

use hyper::Error;
use hyper_util::server::graceful::GracefulConnection;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{config::ConnectionConfig, counters::Counters, server::calls::Activity};

/// How long a client without calls has to close its connection once it was told to.
const CLOSING: Duration = Duration::from_secs(5);

/// What is to be done about a connection now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing, before this moment.
    Wait(Option<Instant>),
    /// Tell the client to go, and why.
    Go(Why),
    /// Close it.
    Cut,
    /// Close it: the client never spoke.
    Silent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Age,
    Idle,
}

/// What is known of a connection.
#[derive(Clone, Copy, Debug)]
struct State {
    began: Instant,
    /// How long it may live: a little more or less than others, so that not all clients come back at once.
    age: Option<Duration>,
    /// When the client was told to go, and when its calls must have ended.
    told: Option<(Instant, Option<Instant>)>,
}

impl State {
    fn next(&self, activity: &Activity, config: &ConnectionConfig, now: Instant) -> Step {
        let mut wake: Option<Instant> = None;
        // Whether the moment is there; if not, it is a moment to wake at.
        let mut reached = |moment: Instant| {
            if now >= moment {
                return true;
            }
            wake = Some(wake.map_or(moment, |wake| wake.min(moment)));
            false
        };
        if !activity.beginning.is_seen() {
            let timeout = self.began + config.handshake_timeout;
            return if reached(timeout) { Step::Silent } else { Step::Wait(Some(timeout)) };
        }
        let quiet_since = activity.quiet_since();
        if let Some((told, end)) = self.told {
            if end.is_some_and(&mut reached) || quiet_since.is_some_and(|since| reached(since.max(told) + CLOSING)) {
                return Step::Cut;
            }
            // A call that is open now may end at any time.
            return Step::Wait(Some(wake.unwrap_or(now + CLOSING).min(now + CLOSING)));
        }
        if self.age.is_some_and(|age| reached(self.began + age)) {
            return Step::Go(Why::Age);
        }
        if !config.idle_timeout.is_zero() && reached(quiet_since.unwrap_or(now) + config.idle_timeout) {
            return Step::Go(Why::Idle);
        }
        Step::Wait(wake)
    }
}

/// How HTTP has ended on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All is said, be it what the client did wrong.
    Said,
    /// It was cut off.
    Cut,
}

/// Watches a connection, and ends it.
pub(super) struct Driver {
    pub(super) activity: Arc<Activity>,
    pub(super) config: Arc<ConnectionConfig>,
    pub(super) counters: Arc<Counters>,
    pub(super) draining: watch::Receiver<bool>,
    pub(super) began: Instant,
}

impl Driver {
    /// Lets HTTP run until either side ends it.
    pub(super) async fn drive<C>(self, mut connection: Pin<Box<C>>) -> End
    where
        C: GracefulConnection<Error = Error>,
    {
        let Self { activity, config, counters, mut draining, began } = self;
        let age = (!config.max_connection_age.is_zero()).then(|| spread(config.max_connection_age));
        let mut state = State { began, age, told: None };
        let mut drains = false;
        loop {
            let now = Instant::now();
            let wake = match state.next(&activity, &config, now) {
                Step::Wait(wake) => wake,
                Step::Go(why) => {
                    let grace = match why {
                        Why::Age => {
                            counters.connections_aged.add_one();
                            config.max_connection_age_grace
                        }
                        Why::Idle => {
                            counters.connections_idle.add_one();
                            Duration::ZERO
                        }
                    };
                    state.told = Some((now, (!grace.is_zero()).then(|| now + grace)));
                    connection.as_mut().graceful_shutdown();
                    continue;
                }
                Step::Cut => {
                    counters.connections_cut.add_one();
                    activity.cut();
                    tracing::debug!("cut off a connection that was told to go");
                    return End::Cut;
                }
                Step::Silent => {
                    counters.handshakes_timed_out.add_one();
                    return End::Cut;
                }
            };
            tokio::select! {
                biased;
                served = &mut connection => {
                    if let Err(error) = &served {
                        tracing::debug!(%error, source = ?std::error::Error::source(error), "a connection failed");
                    }
                    return End::Said;
                }
                // An error says that the server is gone altogether.
                _ = draining.wait_for(|&draining| draining), if !drains => {
                    drains = true;
                    if !activity.beginning.is_seen() {
                        return End::Cut;
                    }
                    state.told.get_or_insert((now, None));
                    connection.as_mut().graceful_shutdown();
                }
                // Other moments count from here on.
                () = activity.beginning.come(), if !activity.beginning.is_seen() => (),
                () = sleep_until(wake.unwrap_or(now)), if wake.is_some() => (),
            }
        }
    }
}

/// A tenth more or less, by chance.
fn spread(age: Duration) -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    // The keys of a new state are random.
    let chance = RandomState::new().hash_one(0) % 2001;
    age.mul_f64(0.9 + chance as f64 / 10_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_spread_by_a_tenth() {
        let age = Duration::from_secs(1000);
        let ages: Vec<Duration> = (0..100).map(|_| spread(age)).collect();
        assert!(ages.iter().all(|age| (900..=1100).contains(&age.as_secs())), "{ages:?}");
        assert!(ages.iter().any(|age| *age != ages[0]));
    }
}
