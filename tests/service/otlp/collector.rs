//! A collector that passes each request on to the test.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    trace::v1::Span,
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};
use tonic::{
    Request, Response, Status,
    transport::{Certificate, Identity, Server, ServerTlsConfig, server::TcpIncoming},
};

use super::text;
use crate::until::within;

/// A collector on a free port; ends when it is dropped.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    pub(crate) traces: mpsc::UnboundedReceiver<Request<ExportTraceServiceRequest>>,
    pub(crate) metrics: mpsc::UnboundedReceiver<Request<ExportMetricsServiceRequest>>,
    refuses: Arc<AtomicBool>,
    _serving: JoinSet<Result<(), tonic::transport::Error>>,
}

/// The services of the collector.
#[derive(Clone)]
struct Services {
    traces: mpsc::UnboundedSender<Request<ExportTraceServiceRequest>>,
    metrics: mpsc::UnboundedSender<Request<ExportMetricsServiceRequest>>,
    refuses: Arc<AtomicBool>,
}

impl Collector {
    /// `identity`: a certificate for `localhost` and its key, in PEM, with which it speaks TLS.
    pub(crate) async fn start(identity: Option<(String, String)>) -> Self {
        let settings = identity.map(|(cert, key)| ServerTlsConfig::new().identity(Identity::from_pem(cert, key)));
        Self::start_with(settings).await
    }

    /// As [`start`](Self::start), and the sender must show a certificate that is signed by `client_ca`, in PEM.
    pub(crate) async fn start_mutual((cert, key): (String, String), client_ca: String) -> Self {
        let settings = ServerTlsConfig::new().identity(Identity::from_pem(cert, key));
        Self::start_with(Some(settings.client_ca_root(Certificate::from_pem(client_ca)))).await
    }

    async fn start_with(tls: Option<ServerTlsConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let ((traces, traces_seen), (metrics, metrics_seen)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let refuses = Arc::<AtomicBool>::default();
        let services = Services { traces, metrics, refuses: Arc::clone(&refuses) };
        let mut server = Server::builder();
        if let Some(settings) = tls {
            server = server.tls_config(settings).expect("they belong together");
        }
        let mut serving = JoinSet::new();
        serving.spawn(
            server
                .add_service(TraceServiceServer::new(services.clone()))
                .add_service(MetricsServiceServer::new(services))
                .serve_with_incoming(TcpIncoming::from(listener)),
        );
        Self { address, traces: traces_seen, metrics: metrics_seen, refuses, _serving: serving }
    }

    /// The next request with spans.
    pub(crate) async fn next_spans(&mut self) -> Request<ExportTraceServiceRequest> {
        within("spans come to the collector", self.traces.recv()).await.expect("the collector serves")
    }

    /// Makes the collector answer each request with UNAUTHENTICATED from now on, or no longer; the test gets it in any
    /// case.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::SeqCst);
    }
}

impl Services {
    fn handed_on<T, U: Default>(
        &self,
        to: &mpsc::UnboundedSender<Request<T>>,
        request: Request<T>,
    ) -> Result<Response<U>, Status> {
        to.send(request).map_err(|_| Status::unavailable("the test has ended"))?;
        if self.refuses.load(Ordering::SeqCst) {
            return Err(Status::unauthenticated("who are you?"));
        }
        Ok(Response::new(U::default()))
    }
}

#[tonic::async_trait]
impl TraceService for Services {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.handed_on(&self.traces, request)
    }
}

#[tonic::async_trait]
impl MetricsService for Services {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.handed_on(&self.metrics, request)
    }
}

/// The spans of a request, whose resource must have the name of this service.
pub(crate) fn spans(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut all = Vec::new();
    for resource in request.resource_spans {
        let attributes = resource.resource.expect("it says what it is from").attributes;
        assert_eq!(text(&attributes, "service.name"), "evenkeel");
        all.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
    }
    all
}
