//! One connection, from its first byte to its last.

use std::{convert::Infallible, io, pin::pin, sync::Arc, time::Duration};

use hyper::{Error, server::conn::http2};
use hyper_util::{rt::TokioIo, server::graceful::GracefulConnection};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::{oneshot, watch},
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tonic::{
    body::Body,
    codegen::http::{Request, Response},
};
use tower::Service;

use super::{
    batched::Batched,
    calls::{Activity, Calls},
    compression::Compression,
    sending::{Sending, Watched},
    stream::{Spoken, Stream},
    tls::Tls,
    turns::Turns,
    version::{Rewound, Version, recognize},
    web::Web,
};
use crate::{
    budget::Budget,
    config::{ConnectionConfig, transport::DEFAULT_CONNECTION_WINDOW_BYTES},
    counters::Counters,
    observe::Recorder,
};

/// How long a client without calls has to close its connection once it was told to.
const CLOSING: Duration = Duration::from_secs(5);

/// How long a client may take to read the last of what was sent, and how much it may send meanwhile: as much as may be on
/// its way when it is told to stop.
const LINGERING: Duration = Duration::from_secs(1);
const LINGERING_BYTES: usize = DEFAULT_CONNECTION_WINDOW_BYTES as usize;

/// What all connections share.
#[derive(Clone, Debug)]
pub(super) struct Shared<S> {
    pub(super) service: S,
    pub(super) http2: http2::Builder<Sending>,
    pub(super) sending: Sending,
    /// `None`: nothing but gRPC is spoken.
    pub(super) web: Option<Web>,
    pub(super) config: Arc<ConnectionConfig>,
    pub(super) counters: Arc<Counters>,
    /// Makes the record of each call.
    pub(super) recorder: Recorder,
    pub(super) budget: Budget,
    /// `None`: messages are plain.
    pub(super) compression: Option<Compression>,
    /// `None`: nothing is encrypted.
    pub(super) tls: Option<Tls>,
    /// True: calls in flight are the last ones.
    pub(super) draining: watch::Receiver<bool>,
}

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

/// Serves the connection until either side ends it.
pub(super) async fn serve<S>(stream: Stream, shared: Shared<S>)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Unpin + Send + 'static,
{
    let Shared { service, http2, sending, web, config, counters, recorder, budget, compression, tls, mut draining } =
        shared;
    let began = Instant::now();
    let limit = began + config.handshake_timeout;
    let opening = async {
        let stream = match (stream, tls) {
            (Stream::Tcp(tcp), Some(tls)) => match tls.accept(tcp).await {
                Ok(stream) => Stream::Tls(Box::new(stream)),
                Err((error, tcp)) => {
                    counters.handshakes_failed.add_one();
                    tracing::debug!(%error, "a handshake failed");
                    return Err(Some(tcp));
                }
            },
            // A Unix domain socket does not leave the machine.
            (stream, _) => stream,
        };
        match web {
            // Who ends before it has said anything has said all.
            Some(web) => match recognize(stream).await {
                Ok((version, stream)) => Ok((version, stream, Some(web))),
                Err(_) => Err(None),
            },
            None => Ok((Version::Http2, Rewound::new(stream), None)),
        }
    };
    let opened = tokio::select! {
        biased;
        opened = timeout_at(limit, opening) => opened,
        _ = draining.wait_for(|&draining| draining) => return,
    };
    let (version, stream, web) = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(refused)) => {
            // The alert that says why is on its way, and perhaps the client's first call.
            if let Some(tcp) = refused {
                tokio::select! {
                    () = linger(tcp) => (),
                    _ = draining.wait_for(|&draining| draining) => (),
                }
            }
            return;
        }
        Err(_) => {
            counters.handshakes_timed_out.add_one();
            return;
        }
    };
    let activity = Activity::new();
    let beginning = Arc::clone(&activity.beginning);
    let calls = Calls::new(
        service,
        Arc::clone(&activity),
        Arc::clone(&counters),
        recorder,
        budget,
        compression,
        config.body_timeout,
    );
    let driver = Driver { activity, config, counters, draining, began };
    match (version, web) {
        (Version::Http2, None) => {
            let (stream, given_back) = Spoken::new(Batched::new(Turns::new(stream)), beginning);
            let connection = sending.watch(http2.serve_connection(TokioIo::new(stream), calls));
            finish(driver.drive(connection).await, given_back).await;
        }
        (Version::Http2, Some(web)) => {
            let (stream, given_back) = Spoken::new(Batched::new(Turns::new(stream)), beginning);
            let connection = sending.watch(http2.serve_connection(TokioIo::new(stream), web.around(calls)));
            finish(driver.drive(connection).await, given_back).await;
        }
        (Version::Http1, web) => {
            let Some(web) = web else { unreachable!("without gRPC-Web no other version is recognized") };
            // How long the headers may take is HTTP/1.1's own to watch.
            beginning.see();
            // Its answers come one after another: there is nothing to send together.
            let (stream, given_back) = Spoken::new(Turns::new(stream), beginning);
            let connection = web.http1().serve_connection(TokioIo::new(stream), web.around(calls));
            finish(driver.drive(sending.watch(connection)).await, given_back).await;
        }
    }
}

/// How HTTP has ended on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All is said, be it what the client did wrong.
    Said,
    /// It was cut off.
    Cut,
}

/// Waits a moment for a client that was told all there is to say to read it, and closes its connection.
async fn finish<T: AsyncRead + AsyncWrite + Unpin>(end: End, given_back: oneshot::Receiver<T>) {
    // The client has all that was sent, but may not have read it: a socket that is closed while the client writes to it,
    // or with something in it that nobody has read, resets the connection, and what the client has not read is lost.
    if end == End::Said
        && let Ok(stream) = given_back.await
    {
        linger(stream).await;
    }
}

/// Ends what is sent, and reads until the client closes as well.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let closed = async {
        // Not all that has failed has ended this.
        stream.shutdown().await?;
        let mut bytes = [0; 4096];
        let mut read = 0;
        while read < LINGERING_BYTES {
            match stream.read(&mut bytes).await? {
                0 => break,
                more => read += more,
            }
        }
        Ok::<_, io::Error>(())
    };
    // Whoever does not close has had the time to read; where the connection has failed nobody does.
    let _ = timeout(LINGERING, closed).await;
}

/// What decides when a connection ends.
struct Driver {
    activity: Arc<Activity>,
    config: Arc<ConnectionConfig>,
    counters: Arc<Counters>,
    draining: watch::Receiver<bool>,
    began: Instant,
}

impl Driver {
    /// Lets HTTP run until either side ends it.
    async fn drive<C: GracefulConnection<Error = Error>>(self, connection: Watched<C>) -> End {
        let Self { activity, config, counters, mut draining, began } = self;
        let mut connection = pin!(connection);
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
                    if let Some(connection) = connection.as_mut().task() {
                        connection.graceful_shutdown();
                    }
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
                    if let Some(Err(error)) = &served {
                        tracing::debug!(%error, source = ?std::error::Error::source(error), "a connection failed");
                    }
                    // One whose client takes nothing is given up.
                    return if served.is_some() { End::Said } else { End::Cut };
                }
                // An error says that the server is gone altogether.
                _ = draining.wait_for(|&draining| draining), if !drains => {
                    drains = true;
                    if !activity.beginning.is_seen() {
                        return End::Cut;
                    }
                    state.told.get_or_insert((now, None));
                    if let Some(connection) = connection.as_mut().task() {
                        connection.graceful_shutdown();
                    }
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
