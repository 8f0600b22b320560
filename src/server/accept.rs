//! The loop that takes connections, and its end: calls in flight are answered, within the time there is.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet, time::Instant};
use tonic::{
    body::Body,
    codegen::http::{Request, Response},
};
use tower::Service;

use super::{
    connection::{self, Shared},
    listener::Listener,
    places::{Full, Places},
    stream::Stream,
};
use crate::counters::{Counted, Counters};

/// How long nobody is accepted after there was no file descriptor, or no memory, for a connection.
const BACK_OFF: Duration = Duration::from_millis(100);
/// How long the answers to calls that were stopped have to leave: the process ends a second after its time, all told.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The connections of a server.
#[derive(Debug)]
pub(super) struct Connections {
    counters: Arc<Counters>,
    tasks: JoinSet<()>,
    drain: watch::Sender<bool>,
}

impl Connections {
    /// None yet, and what tells those to come that the server drains.
    pub(super) fn new(counters: Arc<Counters>) -> (Self, watch::Receiver<bool>) {
        let (drain, draining) = watch::channel(false);
        (Self { counters, tasks: JoinSet::new(), drain }, draining)
    }

    /// Takes connections until `shutdown` completes, and closes the listener.
    pub(super) async fn accept<S>(
        &mut self,
        listener: Listener,
        shared: &Arc<Shared<S>>,
        shutdown: impl Future<Output = ()>,
    ) where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Unpin + Send + 'static,
    {
        let places = Places::new(shared.config.max_connections, shared.config.max_connections_per_peer);
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                // Gives their memory back.
                Some(_) = self.tasks.join_next() => (),
                stream = next(&listener, &self.counters) => self.take(stream, &places, shared),
            }
        }
    }

    fn take<S>(&mut self, stream: Stream, places: &Arc<Places>, shared: &Arc<Shared<S>>)
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Unpin + Send + 'static,
    {
        let place = match places.take(stream.peer()) {
            Ok(place) => place,
            Err(full) => {
                match full {
                    Full::Total => &self.counters.connections_refused_total,
                    Full::Peer => &self.counters.connections_refused_peer,
                }
                .add_one();
                tracing::debug!(?full, "refused a connection");
                return;
            }
        };
        self.counters.connections_accepted.add_one();
        let open = Counted::new(&self.counters, |counters| &counters.connections_open);
        self.tasks.spawn(connection::serve(stream, Arc::clone(shared), (open, place)));
    }

    /// Tells every client to go and waits until all have, but no longer than `timeout`; returns how many calls were
    /// still without an answer then.
    pub(super) async fn drain(&mut self, timeout: Duration) -> Result<(), usize> {
        self.drain.send_replace(true);
        if self.ended_by(Instant::now() + timeout).await { Ok(()) } else { Err(self.counters.calls_unanswered.get()) }
    }

    /// Closes every connection; answers that are ready leave before.
    pub(super) async fn cut(mut self, calls: usize) {
        if calls == 0 || !self.ended_by(Instant::now() + LAST_WORDS).await {
            self.tasks.shutdown().await;
        }
    }

    async fn ended_by(&mut self, deadline: Instant) -> bool {
        tokio::time::timeout_at(deadline, async { while self.tasks.join_next().await.is_some() {} }).await.is_ok()
    }
}

/// The next connection, however long it takes.
async fn next(listener: &Listener, counters: &Counters) -> Stream {
    loop {
        match listener.accept().await {
            Ok(stream) => return stream,
            Err(error) if is_of_one_connection(&error) => (),
            Err(error) => {
                counters.accept_errors.add_one();
                tracing::warn!(%error, "no connection can be accepted");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

/// Whether an error of accepting is that of one connection, which the next may not have.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
