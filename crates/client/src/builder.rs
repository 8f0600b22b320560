//! How a client connects.

use std::{num::NonZeroUsize, panic::resume_unwind, time::Duration};

use tokio::task::spawn_blocking;
use tonic::transport::{Channel, Endpoint};

use crate::{
    Client, Error, deadline,
    security::{LastWords, Route, Security},
};

/// The largest message that is taken or sent, unless told otherwise: 64 MiB, which is also the server's default.
const DEFAULT_MAX_MESSAGE_BYTES: usize = 64 << 20;
/// Frames of 16 KiB, the protocol's default, cost a quarter to two fifths of the throughput of tensors of several MiB.
const DEFAULT_MAX_FRAME_BYTES: u32 = 1 << 20;
/// A few frames, so that the server never waits for a window update between two.
const DEFAULT_STREAM_WINDOW_BYTES: u32 = 4 << 20;
/// The same for all calls of a connection together.
const DEFAULT_CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// Together with the waits between them, retries bridge a restart of a server of some seconds.
const DEFAULT_RETRIES: u32 = 4;
/// A connection that takes longer to be made counts as failed.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of a [`Client`]: how it connects, and its limits. The defaults suit tensors of some kilobytes to some megabytes.
///
/// ```
/// use std::{num::NonZeroUsize, time::Duration};
///
/// use evenkeel_client::Client;
/// # use evenkeel::{config::ServerConfig, server::Running};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = Running::start(ServerConfig::on_free_port()).await?;
/// # let url = server.url();
/// let client = Client::builder()
///     .timeout(Duration::from_secs(30))
///     .max_message_bytes(256 << 20)
///     .connections(NonZeroUsize::new(4).expect("4 is not 0"))
///     .connect(url) // http://127.0.0.1:50051
///     .await?;
/// # client.dropout(&ndarray::array![1.0_f32], 0.5, 1).send().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it connects"]
pub struct Builder {
    connect_timeout: Duration,
    timeout: Option<Duration>,
    max_message_bytes: usize,
    user_agent: String,
    tcp_nodelay: bool,
    max_frame_bytes: u32,
    stream_window_bytes: u32,
    connection_window_bytes: u32,
    connections: NonZeroUsize,
    pub(crate) security: Security,
    codec_path: bool,
    retries: u32,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            timeout: None,
            max_message_bytes: DEFAULT_MAX_MESSAGE_BYTES,
            user_agent: concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).to_owned(),
            tcp_nodelay: true,
            max_frame_bytes: DEFAULT_MAX_FRAME_BYTES,
            stream_window_bytes: DEFAULT_STREAM_WINDOW_BYTES,
            connection_window_bytes: DEFAULT_CONNECTION_WINDOW_BYTES,
            connections: NonZeroUsize::MIN,
            security: Security::default(),
            codec_path: false,
            retries: DEFAULT_RETRIES,
        }
    }
}

impl Builder {
    /// How long a connection may take to be made, with the handshake of TLS; a year at most. Default: 10 seconds.
    pub fn connect_timeout(self, connect_timeout: Duration) -> Self {
        Self { connect_timeout, ..self }
    }

    /// How long a call may take, from `send` to the whole response. The server gets this limit as well, and stops working when
    /// the time is over. A longer time than a year is taken for a year. Default: for ever. [`Client::with_timeout`] sets it for
    /// some calls only.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// The largest message, in bytes, that this client sends or takes. Default: 64 MiB, like the server's.
    pub fn max_message_bytes(self, max_message_bytes: usize) -> Self {
        Self { max_message_bytes, ..self }
    }

    /// The beginning of the header `user-agent`, before the name and version of the transport. Default: `evenkeel-client/VERSION`.
    pub fn user_agent(self, user_agent: impl Into<String>) -> Self {
        Self { user_agent: user_agent.into(), ..self }
    }

    /// Whether small packets go out at once (TCP_NODELAY). Default: true.
    pub fn tcp_nodelay(self, tcp_nodelay: bool) -> Self {
        Self { tcp_nodelay, ..self }
    }

    /// The largest HTTP/2 frame, in bytes, that the server may send; from 16,384 to 16,777,215. Default: 1 MiB.
    pub fn max_frame_bytes(self, max_frame_bytes: u32) -> Self {
        Self { max_frame_bytes, ..self }
    }

    /// How many bytes of one response the server may send before the client has read them. Default: 4 MiB.
    pub fn stream_window_bytes(self, stream_window_bytes: u32) -> Self {
        Self { stream_window_bytes, ..self }
    }

    /// How many bytes of all responses on a connection the server may send before the client has read them. Default:
    /// 16 MiB.
    pub fn connection_window_bytes(self, connection_window_bytes: u32) -> Self {
        Self { connection_window_bytes, ..self }
    }

    /// The number of connections, which calls use in turn. At each end one task drives a connection, so that one connection
    /// cannot occupy more than a few cores. Default: 1.
    pub fn connections(self, connections: NonZeroUsize) -> Self {
        Self { connections, ..self }
    }

    /// How often a call is made again that the server refused because it was [busy](Error::Busy), or that found the server
    /// [unavailable](Error::Unavailable). The wait is the one that the server asks for, or 100 ms that double with each retry, less a
    /// random part; a retry that could not begin before the deadline is not waited for. Calls on arrays are made again; those that read their
    /// elements from a [`TensorReader`](crate::TensorReader) or a [`TensorSource`](crate::TensorSource) are not. Default: 4.
    pub fn retries(self, retries: u32) -> Self {
        Self { retries, ..self }
    }

    /// Whether calls go through tonic's codec, which copies more. Tests compare the direct path with it. Default: false.
    #[doc(hidden)]
    pub fn codec_path(self, codec_path: bool) -> Self {
        Self { codec_path, ..self }
    }

    /// Makes all connections, to a URL such as `http://127.0.0.1:50051`, or `https://` for TLS, or to the Unix domain socket
    /// `unix:PATH`. The next call makes a connection anew that has broken.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting cannot be used, or not with this URL; [`Error::Connect`] if the URL is invalid, no server
    /// answers there, or the client does not trust the server's certificate.
    pub async fn connect(self, url: impl Into<String>) -> Result<Client, Error> {
        let url = url.into();
        // Reading the system's certificates may block.
        let routing = (self.clone(), url.clone());
        let route = spawn_blocking(move || routing.0.route(&routing.1)).await;
        let route = match route {
            Ok(route) => route?,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime shuts down, and drops this future as well.
                Err(_) => std::future::pending().await,
            },
        };
        let mut channels = Vec::with_capacity(self.connections.get());
        for _ in 0..self.connections.get() {
            let channel = route.connect().await;
            channels.push(channel.map_err(|source| Error::Connect { url: url.clone(), source })?);
        }
        self.over(channels, route.last_words)
    }

    /// Like [`connect`](Self::connect), but the first calls that need connections make them. Must be called inside a tokio
    /// runtime.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting cannot be used, or not with this URL; [`Error::Connect`] if the URL is invalid.
    pub fn connect_lazy(self, url: impl Into<String>) -> Result<Client, Error> {
        let route = self.route(&url.into())?;
        let channels = (0..self.connections.get()).map(|_| route.connect_lazy()).collect();
        self.over(channels, route.last_words)
    }

    /// A client over a channel that the program has made itself, for another connector or for balancing. Only the settings of
    /// calls apply: [`timeout`](Self::timeout), [`max_message_bytes`](Self::max_message_bytes), and [`token`](Self::token), which
    /// goes wherever the channel leads, encrypted or not.
    ///
    /// # Errors
    /// [`Error::Setting`] if the token has characters that a token cannot have.
    pub fn with_channel(self, channel: Channel) -> Result<Client, Error> {
        self.over(vec![channel], LastWords::default())
    }

    fn over(self, channels: Vec<Channel>, last_words: LastWords) -> Result<Client, Error> {
        let authorization = self.security.authorization()?;
        let Self { max_message_bytes, timeout, codec_path, retries, .. } = self;
        Ok(Client::new(channels, last_words, max_message_bytes, timeout, authorization, codec_path, retries))
    }

    pub(crate) fn route(&self, url: &str) -> Result<Route, Error> {
        let Self {
            connect_timeout,
            timeout: _,           // each call sets it
            max_message_bytes: _, // each call tests it
            user_agent,
            tcp_nodelay,
            max_frame_bytes,
            stream_window_bytes,
            connection_window_bytes,
            connections: _, // this route makes each of them
            security,
            codec_path: _, // each call asks for it
            retries: _,    // each call counts them
        } = self;
        let refuse = |source| Error::Connect { url: url.to_owned(), source };
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(refuse)?;
        security.route(url, endpoint, |endpoint| {
            Ok(endpoint
                .user_agent(user_agent.as_str())
                .map_err(refuse)?
                .connect_timeout(deadline::bounded(*connect_timeout))
                .tcp_nodelay(*tcp_nodelay)
                .max_frame_size(*max_frame_bytes)
                .initial_stream_window_size(*stream_window_bytes)
                .initial_connection_window_size(*connection_window_bytes))
        })
    }
}
