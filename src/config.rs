//! The server's settings: flags, environment variables, a file, defaults and checks.
//!
//! Each setting is declared once, as a field of [`ServeArgs`]; the file and `evenkeel config` name it by its flag.

mod admission;
mod compression;
mod connections;
mod environment;
mod file;
pub(crate) mod layers;
mod otlp;
mod security;
mod self_check;
mod threads;
pub mod transport;
mod web;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use clap::Args;

pub use crate::{priority::MAX_NICE, setting::Error};
pub(crate) use admission::HELD_PER_REQUEST_BYTE;
pub use admission::{AdmissionArgs, AdmissionConfig, DEFAULT_MAX_BYTES_IN_FLIGHT, DEFAULT_MAX_QUEUED};
pub use compression::Encoding;
pub use connections::{
    ConnectionArgs, ConnectionConfig, DEFAULT_BODY_TIMEOUT, DEFAULT_HANDSHAKE_TIMEOUT, DEFAULT_IDLE_TIMEOUT,
    DEFAULT_KEEP_ALIVE_INTERVAL, DEFAULT_KEEP_ALIVE_TIMEOUT, DEFAULT_MAX_CONNECTION_AGE,
    DEFAULT_MAX_CONNECTION_AGE_GRACE, DEFAULT_MAX_CONNECTIONS, DEFAULT_MAX_CONNECTIONS_PER_PEER, MAX_DURATION,
};
pub use file::Error as FileError;
pub(crate) use layers::SERVE;
pub use layers::{Effective, Source};
pub use otlp::OtlpConfig;
pub use security::{DEFAULT_AUTH_OPEN_METHODS, SecurityArgs, SecurityConfig};
pub use self_check::SelfCheckConfig;
pub use threads::{DEFAULT_SERVING_THREADS, DEFAULT_THREADS, MAX_THREADS};
pub use web::{ANY_ORIGIN, WebConfig};

use self::transport::Transport;

use crate::{
    address::{self, Address},
    checkpoint_hook::CheckpointHook,
    guest::Guest,
    telemetry,
};

/// The default address to listen on: loopback only.
pub const DEFAULT_LISTEN: Address = Address::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50051));
/// The default size of the largest message, in bytes: 64 MiB.
pub const DEFAULT_MAX_MESSAGE_BYTES: usize = 64 << 20;
/// The least value of `max-message-bytes`: fewer bytes could not even hold the description of an error.
pub const MIN_MAX_MESSAGE_BYTES: usize = 1 << 10;
/// The largest value of `max-message-bytes`: gRPC has four bytes for the length of a message.
pub const MAX_MAX_MESSAGE_BYTES: usize = u32::MAX as usize;
/// The default size of the longest chunk that a stream sends, in bytes: 1 MiB.
pub const DEFAULT_MAX_STREAM_CHUNK_BYTES: usize = 1 << 20;
/// The least value of `max-stream-chunk-bytes`: of shorter chunks, messages would cost more than their content.
pub const MIN_MAX_STREAM_CHUNK_BYTES: usize = 1 << 10;
/// The default nice value of compute threads: on a core that a serving thread wants too, Linux gives a compute thread
/// about a tenth of the time.
pub const DEFAULT_COMPUTE_NICE: u8 = 10;
/// How long calls in flight may take to finish after the signal to stop; below the 30 seconds after which Kubernetes
/// kills a container.
pub const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(20);
/// The default for the most bytes of used buffers that are kept: 256 MiB, two calls of 64 MiB with their answers.
pub const DEFAULT_BUFFER_POOL_BYTES: usize = 256 << 20;
/// The default log directives.
pub const DEFAULT_LOG_LEVEL: &str = "info";

/// The settings of a [`Server`](crate::server::Server).
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The address to listen on; port 0 takes a free one.
    pub listen: Address,
    /// The largest message, in bytes, that is taken or sent.
    pub max_message_bytes: usize,
    /// The longest chunk of a tensor, in bytes, that is sent in a stream.
    pub max_stream_chunk_bytes: usize,
    /// How connections carry calls.
    pub transport: Transport,
    /// Compute threads; 0: one for every core.
    pub threads: usize,
    /// How far the compute threads give way to the threads that serve, from 0 to 19: Linux's nice value. Elsewhere it is
    /// not used.
    pub compute_nice: u8,
    /// How long calls in flight may take to finish after shutdown was asked for.
    pub drain_timeout: Duration,
    /// The most bytes of used buffers that are kept for the next calls; 0: none.
    pub buffer_pool_bytes: usize,
    /// Where Prometheus finds the metrics, over HTTP; port 0 takes a free one. `None`: nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// The collector that takes traces and metrics.
    pub otlp: OtlpConfig,
    /// The bounds on connections.
    pub connections: ConnectionConfig,
    /// The bounds on work.
    pub admission: AdmissionConfig,
    /// Encryption and authentication.
    pub security: SecurityConfig,
    /// Calls from browsers.
    pub web: WebConfig,
    /// How messages may be compressed; none: not at all.
    pub compression: Vec<Encoding>,
    /// The self-check at start.
    pub self_check: SelfCheckConfig,
    /// Sends every call through tonic's codec; tests and benchmarks compare with it.
    #[doc(hidden)]
    pub codec_path: bool,
    /// Called at every checkpoint of every operation: fault injection for tests.
    #[doc(hidden)]
    pub on_checkpoint: Option<CheckpointHook>,
    /// A service that is carried beside the server's own, behind the same layers: for checks.
    #[doc(hidden)]
    pub guest: Option<Guest>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: DEFAULT_LISTEN,
            max_message_bytes: DEFAULT_MAX_MESSAGE_BYTES,
            max_stream_chunk_bytes: DEFAULT_MAX_STREAM_CHUNK_BYTES,
            transport: Transport::default(),
            threads: DEFAULT_THREADS,
            compute_nice: DEFAULT_COMPUTE_NICE,
            drain_timeout: DEFAULT_DRAIN_TIMEOUT,
            buffer_pool_bytes: DEFAULT_BUFFER_POOL_BYTES,
            metrics_listen: None,
            otlp: OtlpConfig::default(),
            connections: ConnectionConfig::default(),
            admission: AdmissionConfig::default(),
            security: SecurityConfig::default(),
            web: WebConfig::default(),
            compression: Vec::new(),
            self_check: SelfCheckConfig::default(),
            codec_path: false,
            on_checkpoint: None,
            guest: None,
        }
    }
}

impl ServerConfig {
    /// The defaults, on a free port of the loopback interface: for tests and for a server inside another program.
    pub fn on_free_port() -> Self {
        Self { listen: Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))), ..Self::default() }
    }

    /// Checks every setting that can be checked without looking at the machine.
    ///
    /// # Errors
    /// The first setting that is out of range, by name.
    pub fn validate(&self) -> Result<(), Error> {
        let Self {
            listen,
            max_message_bytes,
            max_stream_chunk_bytes,
            transport,
            threads,
            compute_nice,
            drain_timeout,
            buffer_pool_bytes: _,
            metrics_listen: _,
            otlp,
            connections,
            admission,
            security,
            web,
            compression: _,
            self_check: _,
            codec_path: _,
            on_checkpoint: _,
            guest: _,
        } = self;
        if !(MIN_MAX_MESSAGE_BYTES..=MAX_MAX_MESSAGE_BYTES).contains(max_message_bytes) {
            return Err(Error {
                key: "max-message-bytes",
                reason: format!(
                    "{max_message_bytes} is not between {MIN_MAX_MESSAGE_BYTES} and {MAX_MAX_MESSAGE_BYTES}"
                ),
            });
        }
        if !(MIN_MAX_STREAM_CHUNK_BYTES..=MAX_MAX_MESSAGE_BYTES).contains(max_stream_chunk_bytes) {
            return Err(Error {
                key: "max-stream-chunk-bytes",
                reason: format!(
                    "{max_stream_chunk_bytes} is not between {MIN_MAX_STREAM_CHUNK_BYTES} and {MAX_MAX_MESSAGE_BYTES}"
                ),
            });
        }
        transport.validate()?;
        threads::check("threads", *threads)?;
        if *compute_nice > MAX_NICE {
            return Err(Error { key: "compute-nice", reason: format!("{compute_nice} is more than {MAX_NICE}") });
        }
        connections::check_longest("drain-timeout", *drain_timeout)?;
        otlp.validate()?;
        connections.validate()?;
        admission.validate(*max_message_bytes)?;
        web.validate(listen)?;
        security.validate(listen)
    }
}

/// The settings of `evenkeel serve`, checked.
#[derive(Debug)]
pub struct Configs {
    /// The server's settings.
    pub server: ServerConfig,
    /// The threads of the runtime that serves; 0: one for every core.
    pub serving_threads: usize,
    /// The filter and the format of the log.
    pub telemetry: telemetry::Config,
}

/// The flags of `evenkeel serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// The configuration file, in TOML: each key is one of these flags without its leading dashes. Flags and environment
    /// variables override it.
    #[arg(long, value_name = "FILE", env = "EVENKEEL_CONFIG")]
    pub config: Option<PathBuf>,

    /// The address to listen on, HOST:PORT or unix:PATH; port 0 takes a free one. The bound address is the first line on
    /// standard output. Of a name's addresses the first is taken, an IPv4 one if there is any.
    #[arg(long, value_name = "ADDR", env = "EVENKEEL_LISTEN", default_value_t = DEFAULT_LISTEN)]
    pub listen: Address,

    /// The largest message, in bytes, that is taken or sent.
    #[arg(
        long,
        value_name = "BYTES",
        env = "EVENKEEL_MAX_MESSAGE_BYTES",
        default_value_t = DEFAULT_MAX_MESSAGE_BYTES
    )]
    pub max_message_bytes: usize,

    /// The longest chunk of a tensor, in bytes, that is sent in a stream. Longer messages than --max-message-bytes are not sent.
    #[arg(
        long,
        value_name = "BYTES",
        env = "EVENKEEL_MAX_STREAM_CHUNK_BYTES",
        default_value_t = DEFAULT_MAX_STREAM_CHUNK_BYTES
    )]
    pub max_stream_chunk_bytes: usize,

    /// How connections carry calls.
    #[command(flatten)]
    pub transport: Transport,

    /// Threads that serve connections and do short work in place, also the short parts of tensors that are normalized as they
    /// arrive; 0 takes one for every core.
    #[arg(long, value_name = "N", env = "EVENKEEL_SERVING_THREADS", default_value_t = DEFAULT_SERVING_THREADS)]
    pub serving_threads: usize,

    /// Compute threads; 0 takes one for every core.
    #[arg(long, value_name = "N", env = "EVENKEEL_THREADS", default_value_t = DEFAULT_THREADS)]
    pub threads: usize,

    /// How far compute threads give way to the threads that serve, from 0 to 19: Linux's nice value, which counts among
    /// the threads of a container or service. Elsewhere it is not used.
    #[arg(long, value_name = "NICE", env = "EVENKEEL_COMPUTE_NICE", default_value_t = DEFAULT_COMPUTE_NICE)]
    pub compute_nice: u8,

    /// How long calls in flight may take to finish after SIGTERM or SIGINT, such as `20s` or `500ms`.
    #[arg(
        long,
        value_name = "DURATION",
        env = "EVENKEEL_DRAIN_TIMEOUT",
        default_value_t = DEFAULT_DRAIN_TIMEOUT.into()
    )]
    pub drain_timeout: humantime::Duration,

    /// The most bytes of used buffers that are kept for the next calls; 0 keeps none.
    #[arg(
        long,
        value_name = "BYTES",
        env = "EVENKEEL_BUFFER_POOL_BYTES",
        default_value_t = DEFAULT_BUFFER_POOL_BYTES
    )]
    pub buffer_pool_bytes: usize,

    /// The address to serve metrics on, HOST:PORT, for Prometheus at `/metrics`; port 0 takes a free one, which is logged.
    /// Without it there are none.
    #[arg(long, value_name = "ADDR", env = "EVENKEEL_METRICS_LISTEN", value_parser = address::resolve_tcp)]
    pub metrics_listen: Option<SocketAddr>,

    /// The OpenTelemetry collector.
    #[command(flatten)]
    pub otlp: OtlpConfig,

    /// The bounds on connections.
    #[command(flatten)]
    pub connections: ConnectionArgs,

    /// The bounds on work.
    #[command(flatten)]
    pub admission: AdmissionArgs,

    /// Encryption and authentication.
    #[command(flatten)]
    pub security: SecurityArgs,

    /// Calls from browsers.
    #[command(flatten)]
    pub web: WebConfig,

    /// How messages may be compressed, `gzip`, `zstd` or both with a comma. A response is compressed if its request was and the
    /// client accepts the same encoding; at most eight messages are compressed at a time, and others are sent plain meanwhile.
    /// Without it, messages may not be compressed: tensors of floating-point numbers hardly get shorter.
    #[arg(long, value_name = "ENCODINGS", env = "EVENKEEL_COMPRESSION", value_delimiter = ',', value_enum)]
    pub compression: Vec<Encoding>,

    /// The self-check at start.
    #[command(flatten)]
    pub self_check: SelfCheckConfig,

    /// Sends every call through tonic's codec: the slower way, which the benchmarks compare with.
    #[arg(long, env = "EVENKEEL_CODEC_PATH", hide = true)]
    pub codec_path: bool,

    /// What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`, `off`), or directives such as
    /// `warn,evenkeel=debug`. The HTTP/2 library is silent unless a directive names it: `info,h2=warn`.
    #[arg(long, value_name = "DIRECTIVES", env = "EVENKEEL_LOG_LEVEL", default_value = DEFAULT_LOG_LEVEL)]
    pub log_level: String,

    /// How log lines look; they go to standard error.
    #[arg(long, value_name = "FORMAT", env = "EVENKEEL_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: telemetry::Format,

    /// Where each setting comes from.
    #[arg(skip)]
    pub effective: Effective,
}

impl ServeArgs {
    /// The settings, checked.
    ///
    /// # Errors
    /// As [`ServerConfig::validate`] and [`telemetry::Config::new`].
    pub fn into_configs(self) -> Result<Configs, Error> {
        let Self {
            config: _,
            effective: _,
            listen,
            max_message_bytes,
            max_stream_chunk_bytes,
            transport,
            serving_threads,
            threads,
            compute_nice,
            drain_timeout,
            buffer_pool_bytes,
            metrics_listen,
            otlp,
            connections,
            admission,
            security,
            web,
            compression,
            self_check,
            codec_path,
            log_level,
            log_format,
        } = self;
        let server = ServerConfig {
            listen,
            max_message_bytes,
            max_stream_chunk_bytes,
            transport,
            threads,
            compute_nice,
            drain_timeout: drain_timeout.into(),
            buffer_pool_bytes,
            metrics_listen,
            otlp: otlp.or_from_environment()?,
            connections: connections.into(),
            admission: admission.into(),
            security: security.into(),
            web,
            compression,
            self_check,
            codec_path,
            on_checkpoint: None,
            guest: None,
        };
        server.validate()?;
        threads::check("serving-threads", serving_threads)?;
        Ok(Configs { server, serving_threads, telemetry: telemetry::Config::new(&log_level, log_format)? })
    }
}

#[cfg(test)]
mod tests;
