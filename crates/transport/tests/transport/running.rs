//! A transport that serves.

use std::{convert::Infallible, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use evenkeel_transport::{ConnectionHandle, Listener, MakeService, Metrics, Settings, Transport, Version};
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::Service};
use tokio::{sync::oneshot, task::JoinHandle};

/// The body of a response that is waited for.
type Answer = Pin<Box<dyn Future<Output = Bytes> + Send>>;

/// A service that answers each request with the bytes that a function makes.
#[derive(Clone, Debug)]
struct Answering<F>(F);

impl<F: Fn(Request<Incoming>) -> Answer + Clone + Send + Sync + 'static> MakeService for Answering<F> {
    type Service = Self;

    fn make_service(&self, _: &Arc<ConnectionHandle>, version: Version) -> Self {
        assert_eq!(version, Version::Http2);
        self.clone()
    }
}

impl<F: Fn(Request<Incoming>) -> Answer> Service<Request<Incoming>> for Answering<F> {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let answer = (self.0)(request);
        Box::pin(async move { Ok(Response::new(Full::new(answer.await))) })
    }
}

/// A transport that serves on a free port, until its shutdown is sent or dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) shutdown: oneshot::Sender<()>,
    /// The result of the drain: how many requests were open when its time was over.
    pub(crate) served: JoinHandle<Result<(), usize>>,
}

/// Starts a transport whose service answers with what `answer` returns. After the shutdown it waits so long for open requests.
pub(crate) fn start<A: Future<Output = Bytes> + Send + 'static>(
    settings: Settings,
    drain: Duration,
    answer: impl Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
) -> Running {
    let metrics = Arc::<Metrics>::default();
    let listener = Listener::tcp(([127, 0, 0, 1], 0).into()).expect("there is a port");
    let address = listener.local_addr().expect("it is bound").expect("it is a TCP port");
    let service = Answering(move |request| Box::pin(answer(request)) as Answer);
    let mut transport = Transport::new(service, settings, None, Arc::clone(&metrics));
    let (shutdown, told) = oneshot::channel();
    let served = tokio::spawn(async move {
        transport.accept(listener, async { drop(told.await) }).await;
        let drained = transport.drain(drain).await;
        transport.cut().await;
        drained
    });
    Running { address, metrics, shutdown, served }
}
