//! The listening server: transport settings, health, reflection, and a bounded drain.

mod admission;
mod body_error;
mod calls;
mod carried;
mod codec_errors;
mod compression;
mod connect;
mod deadline;
mod front;
mod health;
mod json;
mod metadata;
mod page;
mod plain;
mod protocol;
mod running;
mod self_check;
mod stack;
mod tls;
mod tokens;
mod transport;
mod web;

use std::{convert::Infallible, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use evenkeel_proto::v1::tensor_ops_service_server::TensorOpsServiceServer;
use evenkeel_transport::{Listener, MakeService, TlsSettings, Transport};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use rayon::ThreadPoolBuildError;
use tokio::task::JoinSet;
use tonic::{codegen::http::Response, service::Routes};
use tonic_reflection::server::Builder as Reflection;

#[doc(hidden)]
pub use metadata::Metadata;
pub use running::Running;
use tls::Tls;

use crate::{
    address::Address,
    budget::{Budget, MAX_QUESTION_BYTES},
    buffers::{BufferMetrics, Buffers},
    config::{self, ServerConfig},
    counters::Counters,
    direct::Direct,
    executor::Executor,
    grpc::BoxError,
    json::Schemas,
    metrics::{Files, Metrics},
    observe::Recorder,
    otlp::{self, Otlp},
    scrape::{Certificate, Endpoint, Exposition},
    server::{
        calls::{CallSettings, MakeCallService},
        carried::Carried,
        compression::Compression,
        connect::Connect,
        health::Health,
        json::Json,
        page::Page,
        self_check::SelfCheck,
        stack::{MakeWebService, Others},
        tokens::Tokens,
        web::Spoken,
    },
    service::{Codec, Limits, Service},
    watched::Reloads,
};

/// The most bytes of a request's headers that HTTP/2 accepts. Up to this limit, a call whose metadata is too long gets
/// a gRPC status (`admission::MAX_METADATA_BYTES`); beyond it, the HTTP/2 library answers with 431, and from four times
/// the limit on it closes the connection.
const MAX_HEADER_BYTES: u32 = 32 << 10;
/// How long the records of calls that were cut off are waited for.
const LAST_RECORDS: Duration = Duration::from_millis(250);

/// The reason why a server did not start, or did not drain.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// The address.
        addr: Address,
        /// Why.
        source: io::Error,
    },
    /// The compute threads did not start.
    #[error("cannot start the compute threads: {0}")]
    Threads(#[from] ThreadPoolBuildError),
    /// The descriptors that reflection serves cannot be read.
    #[error("cannot serve reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The descriptors by which JSON is converted cannot be read.
    #[error("cannot serve JSON: {0}")]
    Json(#[from] prost_reflect::DescriptorError),
    /// Traces and metrics cannot be sent to the collector's address.
    #[error("cannot send to the OpenTelemetry collector: {0}")]
    Otlp(opentelemetry_otlp::ExporterBuildError),
    /// Calls were still in flight when the time to drain was over; they were cut off.
    #[error("{calls} calls were still in flight {after:?} after the signal to stop; they were cut off")]
    DrainTimeout {
        /// How many.
        calls: usize,
        /// The time they had.
        after: Duration,
    },
    /// The task that served panicked or was aborted.
    #[error("the serving task did not finish: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl From<otlp::Error> for Error {
    fn from(error: otlp::Error) -> Self {
        match error {
            otlp::Error::Config(error) => Self::Config(error),
            otlp::Error::Exporter(error) => Self::Otlp(error),
        }
    }
}

/// A server that serves; its result is that of [`Server::serve`].
pub type Serving = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// The event that ends a server.
type Shutdown = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A server that listens, and serves once [`Server::serve`] is called.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    listener: Listener,
    address: Address,
    executor: Arc<Executor>,
    counters: Arc<Counters>,
    metrics: Arc<Metrics>,
    endpoint: Option<Endpoint>,
    otlp: Option<Otlp>,
    tls: Option<Tls>,
    tokens: Option<Tokens>,
    /// The tasks that keep certificates, tokens and headers up to date.
    reloads: Reloads,
}

impl Server {
    /// Listens on `config.listen` and starts the compute threads.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Bind`], [`Error::Threads`], [`Error::Otlp`].
    pub async fn bind(config: ServerConfig) -> Result<Self, Error> {
        config.validate()?;
        let refused = |source| Error::Bind { addr: config.listen.clone(), source };
        let (listener, address) = listen(&config.listen).map_err(refused)?;
        let endpoint = match config.metrics_listen {
            Some(address) => {
                let refused = |source| Error::Bind { addr: address.into(), source };
                Some(Endpoint::bind(address).await.map_err(refused)?)
            }
            None => None,
        };
        let buffers = Buffers::new(config.buffer_pool_bytes);
        let metrics = Arc::<Metrics>::default();
        let mut reloads = Reloads::new(Arc::clone(&metrics));
        let tls = Tls::new(&config.security, config.web.speaks_http1(&config.listen))?.map(|(tls, reload)| {
            reloads.watch(reload, Files::Tls);
            tls
        });
        let tokens = Tokens::new(&config.security)?.map(|(tokens, reload)| {
            reloads.watch(reload, Files::Tokens);
            tokens
        });
        let counters = Arc::<Counters>::default();
        let executor = Executor::new(config.threads, config.compute_nice, buffers, config.on_checkpoint.clone())?;
        let executor = Arc::new(executor.with_max_queued(config.admission.queued(), Arc::clone(&counters)));
        let otlp = Otlp::new(&config.otlp, &mut reloads)?;
        Ok(Self { config, listener, address, executor, counters, metrics, endpoint, otlp, tls, tokens, reloads })
    }

    /// The address that was bound, with the port that was taken if 0 was asked for.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The URL that a client connects to, as [`Address::url`].
    pub fn url(&self) -> String {
        self.address.url(self.tls.is_some())
    }

    /// The address of the metrics, with the port that was taken if 0 was asked for; `None`: they are not served.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.endpoint.as_ref().map(Endpoint::address)
    }

    /// Serves until `shutdown` completes, and then until the calls in flight are answered, but no longer than
    /// `config.drain_timeout`.
    ///
    /// Both futures are boxed, so that the server is compiled once, and not again in each program that starts it.
    ///
    /// # Errors
    /// [`Error::Reflection`], [`Error::Json`], [`Error::DrainTimeout`].
    pub fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Serving {
        self.serve_until(Box::pin(shutdown))
    }

    fn serve_until(self, shutdown: Shutdown) -> Serving {
        Box::pin(self.serve_and_flush(shutdown))
    }

    async fn serve_and_flush(mut self, shutdown: Shutdown) -> Result<(), Error> {
        let otlp = self.otlp.take();
        let recorder = Recorder::new(Arc::clone(&self.metrics), otlp.as_ref().map(Otlp::recorder));
        let served = self.serve_calls(shutdown, recorder).await;
        if let Some(otlp) = otlp {
            otlp.flush().await;
        }
        served
    }

    async fn serve_calls(self, shutdown: Shutdown, recorder: Recorder) -> Result<(), Error> {
        let Self { config, listener, address, executor, counters, metrics, endpoint, otlp: _, tls, tokens, reloads } =
            self;
        // Files are read again also while calls are drained, until this function returns.
        let _reloads = reloads;
        let mut beside = JoinSet::new();
        if let Some(endpoint) = endpoint {
            tracing::info!(address = %endpoint.address(), "serving metrics");
            let certificate = tls.clone().map(|tls| Arc::new(tls) as Arc<dyn Certificate>);
            let exposition =
                Exposition::new(Arc::clone(&metrics), Arc::clone(&counters), Arc::clone(&executor), certificate);
            beside.spawn(endpoint.serve(exposition.into()));
        }
        let (health, health_service) = Health::new(!config.self_check.enabled);
        if config.self_check.enabled {
            beside.spawn(SelfCheck::of(&config, &metrics, health.unchecked()).run());
        }
        let limit = config.max_message_bytes;
        let bytes_in_flight = config.admission.bytes_in_flight(limit);
        let budget = Budget::new(bytes_in_flight, limit);
        let max_frame_bytes = budget.part(usize::try_from(config.transport.max_frame_bytes).unwrap_or(usize::MAX));
        let limits = Limits { message: limit, chunk: config.max_stream_chunk_bytes, frame: max_frame_bytes };
        let service = Arc::new(Service::new(Arc::clone(&executor), limits, config.compression.clone()));
        // The service itself refuses answers above the limit.
        let codec = TensorOpsServiceServer::new(Codec(Arc::clone(&service))).max_decoding_message_size(limit);
        let buffers = executor.buffers().clone();
        let direct = Direct::new(service, config.codec_path, buffers, limit);
        let own = Routes::default()
            .add_service(health_service.max_decoding_message_size(MAX_QUESTION_BYTES))
            .add_service(reflection().build_v1()?.max_decoding_message_size(MAX_QUESTION_BYTES))
            .add_service(reflection().build_v1alpha()?.max_decoding_message_size(MAX_QUESTION_BYTES))
            .prepare();
        let speaks_connect = config.web.speaks_connect(&config.listen);
        let of_guest = config.guest.as_ref().map(|guest| guest.descriptors);
        let described: Vec<_> = DESCRIPTORS.into_iter().chain(of_guest).collect();
        let schemas = speaks_connect.then(|| Schemas::new(&described).map(Arc::new)).transpose()?;
        let carried = config.guest.as_ref().map(Carried::new).transpose()?;
        let others = Others { own, guest: config.guest.map(|guest| guest.routes) };
        let json = Json::new(schemas.clone(), Arc::clone(&executor));
        // Its calls are Connect's.
        let page = speaks_connect.then(Page::new);
        let calls = MakeCallService::new(CallSettings {
            service: stack::calls(tokens, direct, codec, limit, others, json, page),
            counters: Arc::clone(&counters),
            recorder: recorder.clone(),
            budget,
            compression: Compression::new(&config.compression),
            body_timeout: config.connections.body_timeout,
            max_frame_bytes,
            carried,
        });
        let spoken = Spoken { grpc_web: config.web.grpc_web, connect: schemas.map(Connect::new) };
        let web = config.web.speaks_http1(&config.listen);
        let settings = transport::settings(&config.connections, &config.transport, bytes_in_flight, web);
        let tls = tls.map(|tls| Arc::new(tls) as Arc<dyn TlsSettings>);
        let metrics = Arc::clone(&counters.transport);
        tracing::info!(%address, max_message_bytes = limit, "serving");

        let life = Life { listener, drain_timeout: config.drain_timeout, counters, executor, recorder, health };
        if !web {
            return life.live(Transport::new(calls, settings, tls, metrics), shutdown).await;
        }
        let calls = MakeWebService::new(calls, web::cors(&config.web), spoken);
        life.live(Transport::new(calls, settings, tls, metrics), shutdown).await
    }
}

/// The parts of a server that serve and drain.
struct Life {
    listener: Listener,
    drain_timeout: Duration,
    counters: Arc<Counters>,
    executor: Arc<Executor>,
    recorder: Recorder,
    health: Health,
}

impl Life {
    /// Serves connections until `shutdown` completes, and then until the calls in flight are answered.
    async fn live<M, S, B>(self, mut transport: Transport<M>, shutdown: Shutdown) -> Result<(), Error>
    where
        M: MakeService<Service = S>,
        S: hyper::service::Service<hyper::Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
            + Send
            + 'static,
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
    {
        let Self { listener, drain_timeout, counters, executor, recorder, health } = self;
        transport.accept(listener, shutdown).await;
        tracing::info!(?drain_timeout, "draining");
        health.end();
        counters.log();
        let Err(calls) = transport.drain(drain_timeout).await else {
            let BufferMetrics { reused, made, dropped, kept_bytes } = executor.buffers().metrics();
            tracing::info!(reused, made, dropped, kept_bytes, "drained");
            return Ok(());
        };
        executor.stop();
        recorder.close();
        transport.cut().await;
        recorder.all_ended(LAST_RECORDS).await;
        if calls == 0 {
            // Clients that hang, or whose machine is gone, never close their connections or read their last answer.
            tracing::warn!("connections without calls were still open and are cut off");
            return Ok(());
        }
        Err(Error::DrainTimeout { calls, after: drain_timeout })
    }
}

/// Listens on an address. The returned address has the port that was taken if 0 was asked for.
fn listen(address: &Address) -> io::Result<(Listener, Address)> {
    let listener = match address {
        Address::Tcp(address) => Listener::tcp(*address),
        Address::Unix(path) => Listener::unix(path),
    }?;
    let address = listener.local_addr()?.map_or_else(|| address.clone(), Address::Tcp);
    Ok((listener, address))
}

/// The descriptors of every service of this server, and of the details of errors, which a generic client can then show.
const DESCRIPTORS: [&[u8]; 5] = [
    evenkeel_proto::FILE_DESCRIPTOR_SET,
    tonic_types::pb::FILE_DESCRIPTOR_SET,
    tonic_health::pb::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
];

/// Reflection that knows every service of this server, itself included.
fn reflection() -> Reflection<'static> {
    let begin = Reflection::configure().include_reflection_service(false);
    DESCRIPTORS.into_iter().fold(begin, Reflection::register_encoded_file_descriptor_set)
}
