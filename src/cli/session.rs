//! The server that computes: one that was named, or one of the command's own.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use clap::Args;
use evenkeel_client::{self as client, Builder, Client};
use evenkeel_proto::v1::{self as pb, tensor_ops_service_client::TensorOpsServiceClient};

use super::{error::Error, pieces::OVERHEAD, security::SecurityArgs};
use crate::{
    config::{DEFAULT_MAX_MESSAGE_BYTES, MAX_DURATION, MAX_MAX_MESSAGE_BYTES, ServerConfig},
    server::Running,
};

/// How many times a busy server is asked again, and the wait before the first time; each wait is twice the one before.
const TRIES: u32 = 8;
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// The bytes of the pieces that are under way at once, where they are small enough for more than two: while one is read and
/// one is written, each server has two.
const UNDER_WAY: usize = 32 << 20;
/// Used buffers that a server of the command's own keeps: those of the pieces that are under way.
const BUFFER_POOL_BYTES: usize = 64 << 20;

/// Which servers compute.
#[derive(Args, Clone, Debug)]
pub(super) struct ServerArgs {
    /// The server, HOST:PORT or a URL such as `http://127.0.0.1:50051`; or several, with commas between them, which share the
    /// work: the results have the same bytes. Default: one that the command starts inside itself, for as long as it runs.
    #[arg(long, visible_alias = "servers", value_name = "URL", env = "EVENKEEL_SERVER", value_delimiter = ',')]
    server: Vec<String>,

    /// How long each call may take, such as `30s`. Default: no limit.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<humantime::Duration>,

    /// How long connecting to a server of `--server` may take, up to its first answer.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    connect_timeout: humantime::Duration,

    /// What the servers of `--server` want; the command's own has neither TLS nor tokens.
    #[command(flatten)]
    security: SecurityArgs,
}

/// A duration of at most [`MAX_DURATION`].
pub(super) fn duration(text: &str) -> Result<humantime::Duration, String> {
    let duration: humantime::Duration = text.parse().map_err(|error: humantime::DurationError| error.to_string())?;
    if *duration > MAX_DURATION {
        return Err(format!("{duration} is more than 365 days"));
    }
    Ok(duration)
}

/// Servers that were reached, or the command's own, which is still to be started.
#[derive(Debug)]
pub(super) struct Reached {
    /// Empty: it is the command's own.
    clients: Vec<Client>,
    limit: usize,
    timeout: Option<Duration>,
}

/// Clients, and the server behind them if it is the command's own.
#[derive(Debug)]
pub(super) struct Session {
    clients: Vec<Client>,
    own: Option<Running>,
}

impl ServerArgs {
    /// The files that its flags name, also if there is no `--server` to use them for.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.security.files()
    }

    /// Connects to the servers that were named, and asks for their limits on messages.
    pub(super) async fn reach(&self) -> Result<Reached, Error> {
        let timeout = self.timeout.map(Duration::from);
        let mut servers: Vec<(&str, Server)> = Vec::with_capacity(self.server.len());
        for (index, url) in self.server.iter().enumerate() {
            if self.server[..index].contains(url) {
                return Err(Error::usage("--server", format!("{url} is given twice")));
            }
            servers.push((url, self.connect(url, timeout).await?));
        }
        for pair in servers.windows(2) {
            if let [(first, Server { version: Some(one), .. }), (second, Server { version: Some(other), .. })] = pair
                && one != other
            {
                let reason = format!("{first} has version {one} and {second} {other}, whose bytes may differ");
                return Err(Error::usage("--server", reason));
            }
        }
        let limit = servers.iter().map(|(_, server)| server.limit).min().unwrap_or(MAX_MAX_MESSAGE_BYTES);
        Ok(Reached { clients: servers.into_iter().map(|(_, server)| server.client).collect(), limit, timeout })
    }

    async fn connect(&self, server: &str, timeout: Option<Duration>) -> Result<Server, Error> {
        let Self { server: _, timeout: _, connect_timeout, security } = self;
        let url = security.url(server)?;
        let patience = Duration::from(*connect_timeout);
        let refuse = |error| Error::of_connection(security.explain(error));
        let builder = security.apply(builder(MAX_MAX_MESSAGE_BYTES, None).connect_timeout(patience)).await?;
        let connecting = async {
            let client = builder.connect(&url).await.map_err(refuse)?;
            Server::ask(client).await
        };
        // The server's system accepts the connection, even if the server hangs: only an answer shows that it serves.
        let waited = timeout.map_or(patience, |timeout| timeout.min(patience));
        match tokio::time::timeout(waited, connecting).await {
            Ok(server) => {
                let Server { client, limit, version } = server?;
                let client = timeout.map_or_else(|| client.clone(), |timeout| client.with_timeout(timeout));
                Ok(Server { client, limit, version })
            }
            Err(_) => Err(Error::Silent { url, waited: waited.into() }),
        }
    }
}

/// A server that has answered.
struct Server {
    client: Client,
    /// The longest message that it takes.
    limit: usize,
    /// `None`: it is too old to tell.
    version: Option<String>,
}

impl Server {
    /// Asks a server for its limit and its version. One that is too old to have GetServerInfo most likely has the default
    /// limit.
    async fn ask(client: Client) -> Result<Self, Error> {
        let (channel, request) = client.request(pb::GetServerInfoRequest {});
        match TensorOpsServiceClient::new(channel).get_server_info(request).await {
            Ok(info) => {
                let pb::GetServerInfoResponse { version, max_message_bytes, .. } = info.into_inner();
                let limit = usize::try_from(max_message_bytes).unwrap_or(usize::MAX).min(MAX_MAX_MESSAGE_BYTES);
                Ok(Self { client, limit, version: Some(version) })
            }
            Err(status) => {
                let error = client.explain(status);
                // A server that answers with a status speaks gRPC: the calls themselves show its limit.
                if matches!(error, client::Error::Status(_)) {
                    Ok(Self { client, limit: DEFAULT_MAX_MESSAGE_BYTES, version: None })
                } else {
                    Err(Error::Call(error))
                }
            }
        }
    }
}

fn builder(limit: usize, timeout: Option<Duration>) -> Builder {
    let builder = Client::builder().max_message_bytes(limit);
    match timeout {
        Some(timeout) => builder.timeout(timeout),
        None => builder,
    }
}

impl Reached {
    /// The most bytes of elements in a message that the server takes or sends: its limit without [`OVERHEAD`].
    pub(super) fn limit(&self) -> usize {
        self.limit - OVERHEAD.min(self.limit / 2)
    }

    /// Whether the server is the command's own, which takes the longest messages of gRPC.
    pub(super) fn is_own(&self) -> bool {
        self.clients.is_empty()
    }

    /// A session for calls of at most `largest` bytes of elements; starts the command's own server if there is no
    /// other.
    pub(super) async fn session(self, largest: usize) -> Result<Session, Error> {
        let Self { clients, limit: _, timeout } = self;
        if !clients.is_empty() {
            return Ok(Session { clients, own: None });
        }
        let max_message_bytes =
            largest.saturating_add(OVERHEAD).clamp(DEFAULT_MAX_MESSAGE_BYTES, MAX_MAX_MESSAGE_BYTES);
        let config =
            ServerConfig { max_message_bytes, buffer_pool_bytes: BUFFER_POOL_BYTES, ..ServerConfig::on_free_port() };
        let own = Running::start(config).await?;
        let client = builder(max_message_bytes, timeout).connect(own.url()).await.map_err(Error::Call)?;
        Ok(Session { clients: vec![client], own: Some(own) })
    }
}

impl Session {
    /// Calls with pieces of at most `largest` bytes.
    pub(super) fn calls(&self, largest: usize) -> Calls {
        let at_once = (UNDER_WAY / largest.max(1)).clamp(2, 2 + 2 * self.clients.len());
        let servers = self.clients.iter().map(|client| (client.clone(), AtomicUsize::new(0))).collect();
        Calls { servers, turn: Arc::default(), at_once }
    }

    /// Disconnects, and stops a server of the command's own.
    pub(super) async fn close(self) -> Result<(), Error> {
        let Self { clients, own } = self;
        drop(clients);
        match own {
            Some(own) => Ok(own.shutdown_and_wait().await?),
            None => Ok(()),
        }
    }
}

/// Makes calls to the server that has the fewest under way, and repeats them while it is busy, since a command with many
/// calls should not fail for one.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    /// Each with the number of its calls.
    servers: Arc<[(Client, AtomicUsize)]>,
    /// The number of calls that were begun.
    turn: Arc<AtomicUsize>,
    at_once: usize,
}

impl Calls {
    /// How many pieces to have under way at once.
    pub(super) fn at_once(&self) -> usize {
        self.at_once
    }

    pub(super) async fn normalize(
        &self,
        request: pb::NormalizeRequest,
    ) -> Result<pb::NormalizeResponse, client::Error> {
        self.patiently(|client| client.normalize_message(request.clone())).await
    }

    pub(super) async fn dropout(&self, request: pb::DropoutRequest) -> Result<pb::DropoutResponse, client::Error> {
        self.patiently(|client| client.dropout_message(request.clone())).await
    }

    pub(super) async fn clip(
        &self,
        request: pb::ClipGradientsRequest,
    ) -> Result<pb::ClipGradientsResponse, client::Error> {
        self.patiently(|client| client.clip_gradients_message(request.clone())).await
    }

    pub(super) async fn measure(
        &self,
        request: pb::MeasureGradientsRequest,
    ) -> Result<client::NormPartial, client::Error> {
        self.patiently(|client| client.measure_gradients_message(request.clone())).await
    }

    pub(super) async fn measure_statistics(
        &self,
        request: pb::MeasureStatisticsRequest,
    ) -> Result<client::StatisticsPartial, client::Error> {
        self.patiently(|client| client.measure_statistics_message(request.clone())).await
    }

    /// Repeats a call while servers are busy. `call` clones its request, which is cheap: clones share their elements.
    async fn patiently<'a, T, C>(&'a self, call: impl Fn(&'a Client) -> C) -> Result<T, client::Error>
    where
        C: Future<Output = Result<T, client::Error>>,
    {
        for attempt in 0..TRIES {
            match self.once(&call).await {
                Err(client::Error::Busy { retry_after, .. }) => {
                    let wait = FIRST_WAIT.saturating_mul(1 << attempt);
                    tokio::time::sleep(retry_after.unwrap_or_default().clamp(wait, 2 * wait)).await;
                }
                done => return done,
            }
        }
        self.once(&call).await
    }

    async fn once<'a, C: Future>(&'a self, call: &impl Fn(&'a Client) -> C) -> C::Output {
        // Of those that have equally few, each has its turn.
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % self.servers.len();
        let (client, under_way) = self.servers[first..]
            .iter()
            .chain(&self.servers[..first])
            .min_by_key(|(_, under_way)| under_way.load(Ordering::Relaxed))
            .expect("a session has a server");
        let _counted = Counted::new(under_way);
        call(client).await
    }
}

/// A call that is under way, until this is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(under_way: &'a AtomicUsize) -> Self {
        under_way.fetch_add(1, Ordering::Relaxed);
        Self(under_way)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
