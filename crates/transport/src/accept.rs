//! The loop that accepts connections, and the drain, in which open requests are answered within a time limit.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, service::Service};
use tokio::{sync::watch, task::JoinSet, time::Instant};

use crate::{
    connection::{self, MakeService, Shared},
    io::Stream,
    keep_alive::KeepAlive,
    limits::{ConnectionLimits, LimitReached},
    listener::Listener,
    metrics::{Counted, Metrics},
    settings::Settings,
    tls::TlsSettings,
};

/// The pause after a connection could not be accepted for lack of file descriptors or memory.
const BACK_OFF: Duration = Duration::from_millis(100);
/// How long responses that are ready may still take to be written: a server should exit within a second after its drain timeout.
const CUT_TIMEOUT: Duration = Duration::from_millis(500);

/// The connections of a server, each of which is served by a service of its own that `M` makes.
///
/// The usual life: [`accept`](Self::accept) until the server is told to stop, [`drain`](Self::drain), and
/// [`cut`](Self::cut) if that did not end in time.
#[derive(Debug)]
pub struct Transport<M> {
    shared: Arc<Shared<M>>,
    limits: Arc<ConnectionLimits>,
    keep_alive: Option<KeepAlive>,
    tasks: JoinSet<()>,
    drain: watch::Sender<bool>,
}

impl<M, S, B> Transport<M>
where
    M: MakeService<Service = S>,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static,
{
    /// A transport without connections. If `tls` is `None`, connections are plain text.
    pub fn new(make_service: M, settings: Settings, tls: Option<Arc<dyn TlsSettings>>, metrics: Arc<Metrics>) -> Self {
        let limits = ConnectionLimits::new(settings.max_connections, settings.max_connections_per_peer);
        let keep_alive = KeepAlive::of(&settings);
        let (drain, draining) = watch::channel(false);
        let shared = Arc::new(Shared::new(make_service, settings, tls, metrics, draining));
        Self { shared, limits, keep_alive, tasks: JoinSet::new(), drain }
    }

    /// Takes connections until `shutdown` completes, and closes the listener.
    pub async fn accept(&mut self, listener: Listener, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                // Frees the memory of a connection that has ended.
                Some(_) = self.tasks.join_next() => (),
                stream = next(&listener, self.keep_alive, &self.shared.metrics) => self.take(stream),
            }
        }
    }

    fn take(&mut self, stream: Stream) {
        let metrics = &self.shared.metrics;
        let permit = match self.limits.permit(stream.peer()) {
            Ok(permit) => permit,
            Err(reached) => {
                match reached {
                    LimitReached::Total => &metrics.connections_refused_total,
                    LimitReached::Peer => &metrics.connections_refused_peer,
                }
                .add_one();
                tracing::debug!(?reached, "refused a connection");
                return;
            }
        };
        metrics.connections_accepted.add_one();
        let open = Counted::new(metrics, |metrics| &metrics.connections_open);
        self.tasks.spawn(connection::serve(stream, Arc::clone(&self.shared), (open, permit)));
    }

    /// Tells every client to go and waits until all have.
    ///
    /// # Errors
    /// `timeout` has passed. The error is the number of requests that were still open then.
    pub async fn drain(&mut self, timeout: Duration) -> Result<(), usize> {
        self.drain.send_replace(true);
        if self.ended_by(Instant::now() + timeout).await {
            Ok(())
        } else {
            Err(self.shared.metrics.requests_open.get())
        }
    }

    /// Closes every connection. If requests are open, responses that are ready have half a second to leave.
    pub async fn cut(mut self) {
        if self.shared.metrics.requests_open.get() == 0 || !self.ended_by(Instant::now() + CUT_TIMEOUT).await {
            self.tasks.shutdown().await;
        }
    }

    async fn ended_by(&mut self, deadline: Instant) -> bool {
        tokio::time::timeout_at(deadline, async { while self.tasks.join_next().await.is_some() {} }).await.is_ok()
    }
}

/// The next connection, however long it takes.
async fn next(listener: &Listener, keep_alive: Option<KeepAlive>, metrics: &Metrics) -> Stream {
    loop {
        match listener.accept(keep_alive).await {
            Ok(stream) => return stream,
            Err(error) if is_of_one_connection(&error) => (),
            Err(error) => {
                metrics.accept_errors.add_one();
                tracing::warn!(%error, "no connection can be accepted");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

/// Whether `accept` failed because of the one connection that it took, so that the next may succeed at once.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
