//! The listening server: transport settings, health, reflection, and a bounded drain.

mod batched;
mod deadline;
mod health;
mod listener;
mod oversize;
mod running;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use evenkeel_proto::v1::tensor_ops_service_server::TensorOpsServiceServer;
use rayon::ThreadPoolBuildError;
use tokio::{sync::oneshot, task::JoinSet};
use tokio_stream::{StreamExt as _, wrappers::UnixListenerStream};
use tonic::{service::LayerExt as _, transport::server::TcpIncoming};
use tonic_reflection::server::Builder as Reflection;
use tower::{layer::layer_fn, util::MapResponseLayer};

pub(crate) use deadline::Unfinished;
pub use running::Running;

use crate::{
    address::Address,
    buffers::{BufferMetrics, Buffers},
    config::{self, ServerConfig},
    direct::Direct,
    executor::Executor,
    metrics::{Endpoint, Exposition, Metrics, Observe},
    server::{batched::Batched, deadline::Deadline, health::Health, listener::Listener},
    service::{Codec, Service},
};

/// Why a server did not start, or did not end well.
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
    /// The transport failed.
    #[error("the transport failed: {0}")]
    Transport(#[from] tonic::transport::Error),
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

/// A server that listens, and serves once [`Server::serve`] is called.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    listener: Listener,
    address: Address,
    executor: Arc<Executor>,
    metrics: Arc<Metrics>,
    endpoint: Option<Endpoint>,
}

impl Server {
    /// Listens on `config.listen` and starts the compute threads.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Bind`], [`Error::Threads`].
    pub async fn bind(config: ServerConfig) -> Result<Self, Error> {
        config.validate()?;
        let refused = |source| Error::Bind { addr: config.listen.clone(), source };
        let listener = Listener::bind(&config.listen).await.map_err(refused)?;
        let address = listener.address().map_err(refused)?;
        let buffers = Buffers::new(config.buffer_pool_bytes);
        let executor = Arc::new(Executor::new(config.threads, buffers, config.on_checkpoint.clone())?);
        let endpoint = match config.metrics_listen {
            Some(address) => {
                let refused = |source| Error::Bind { addr: address.into(), source };
                Some(Endpoint::bind(address).await.map_err(refused)?)
            }
            None => None,
        };
        Ok(Self { config, listener, address, executor, metrics: Arc::default(), endpoint })
    }

    /// The address that was bound, with the port that was taken if 0 was asked for.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The address of the metrics, with the port that was taken if 0 was asked for; `None`: they are not served.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.endpoint.as_ref().map(Endpoint::address)
    }

    /// Serves until `shutdown` completes, and then until the calls in flight are answered, but no longer than
    /// `config.drain_timeout`.
    ///
    /// # Errors
    /// [`Error::Reflection`], [`Error::Transport`], [`Error::DrainTimeout`].
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let Self { config, listener, address, executor, metrics, endpoint } = self;
        // Also while calls are drained; ends when this function does.
        let mut beside = JoinSet::new();
        if let Some(endpoint) = endpoint {
            tracing::info!(address = %endpoint.address(), "serving metrics");
            beside.spawn(endpoint.serve(Exposition::new(Arc::clone(&metrics), Arc::clone(&executor)).into()));
        }
        let (health, health_service) = Health::serving().await;
        let (limit, transport) = (config.max_message_bytes, config.transport);
        let counted = Arc::clone(&metrics);
        let by_the_book =
            MapResponseLayer::new(move |response| oversize::answer_by_the_book(response, limit, &counted));
        let service = Arc::new(Service::new(Arc::clone(&executor), Arc::clone(&metrics), limit));
        // Answers above the limit the service refuses itself.
        let codec = TensorOpsServiceServer::new(Codec(Arc::clone(&service))).max_decoding_message_size(limit);
        let buffers = executor.buffers().clone();
        let pool = buffers.clone();
        let service = (!config.codec_path).then_some(service);
        let direct = layer_fn(move |codec| Direct::new(codec, service.clone(), pool.clone(), limit));
        let counted = Arc::clone(&metrics);
        let deadline = layer_fn(move |service| Deadline::new(service, Arc::clone(&counted)));
        let counted = Arc::clone(&metrics);
        let observe = layer_fn(move |service| Observe::new(service, Arc::clone(&counted)));
        let service = deadline.named_layer(by_the_book.named_layer(direct.named_layer(codec)));
        let router = tonic::transport::Server::builder()
            .initial_stream_window_size(transport.stream_window_bytes)
            .initial_connection_window_size(transport.connection_window_bytes)
            .max_frame_size(transport.max_frame_bytes)
            .max_concurrent_streams(transport.max_streams_per_connection)
            .layer(observe)
            .add_service(service)
            .add_service(health_service)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?);
        tracing::info!(%address, max_message_bytes = limit, "serving");

        let (draining, drain_began) = oneshot::channel();
        let stop_accepting = async {
            shutdown.await;
            tracing::info!(drain_timeout = ?config.drain_timeout, "draining");
            health.end().await;
            // The receiver lives as long as the future that this is a part of.
            let _ = draining.send(());
        };
        let out_of_time = async {
            match drain_began.await {
                Ok(()) => tokio::time::sleep(config.drain_timeout).await,
                Err(_) => std::future::pending().await,
            }
        };
        let serving = async {
            match listener {
                Listener::Tcp(listener) => {
                    // Without TCP_NODELAY the last segment of an answer waits for the acknowledgement of the one before,
                    // 40 ms.
                    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
                    let incoming = incoming
                        .map(move |stream| Ok::<_, io::Error>(metrics.open_connection().of(Batched::new(stream?))));
                    router.serve_with_incoming_shutdown(incoming, stop_accepting).await
                }
                Listener::Unix(listener, _file) => {
                    let incoming = UnixListenerStream::new(listener);
                    let incoming = incoming
                        .map(move |stream| Ok::<_, io::Error>(metrics.open_connection().of(Batched::new(stream?))));
                    router.serve_with_incoming_shutdown(incoming, stop_accepting).await
                }
            }
        };
        tokio::select! {
            biased;
            served = serving => {
                served?;
                let BufferMetrics { reused, made, dropped, kept_bytes } = buffers.metrics();
                tracing::info!(reused, made, dropped, kept_bytes, "drained");
                Ok(())
            }
            () = out_of_time => match executor.stop() {
                0 => {
                    // Clients that hang, or whose machine is gone, never close theirs, nor read their last answer.
                    tracing::warn!("connections without calls were still open and are cut off");
                    Ok(())
                }
                calls => Err(Error::DrainTimeout { calls, after: config.drain_timeout }),
            }
        }
    }
}

/// Reflection that knows every service of this server, itself included, and the details of errors.
fn reflection() -> Reflection<'static> {
    Reflection::configure()
        .include_reflection_service(false)
        .register_encoded_file_descriptor_set(evenkeel_proto::FILE_DESCRIPTOR_SET)
        // With these a generic client can show what is inside an error.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
}
