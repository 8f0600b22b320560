//! The server that computes: one that was named, or one of the command's own.

use std::{path::Path, time::Duration};

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
/// Used buffers that a server of the command's own keeps: those of the pieces that are under way.
const BUFFER_POOL_BYTES: usize = 64 << 20;

/// Which server computes.
#[derive(Args, Clone, Debug)]
pub(super) struct ServerArgs {
    /// The server, HOST:PORT or a URL such as `http://127.0.0.1:50051`. Default: one that the command starts inside itself,
    /// for as long as it runs.
    #[arg(long, value_name = "URL", env = "EVENKEEL_SERVER")]
    server: Option<String>,

    /// How long each call may take, such as `30s`. Default: no limit.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<humantime::Duration>,

    /// How long connecting to the server of `--server` may take, up to its first answer.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    connect_timeout: humantime::Duration,

    /// What the server of `--server` wants; the command's own has neither TLS nor tokens.
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

/// A server that was reached, or the command's own, which is still to be started.
#[derive(Debug)]
pub(super) struct Reached {
    /// `None`: it is the command's own.
    client: Option<Client>,
    limit: usize,
    timeout: Option<Duration>,
}

/// A client, and the server behind it if it is the command's own.
#[derive(Debug)]
pub(super) struct Session {
    client: Client,
    own: Option<Running>,
}

impl ServerArgs {
    /// The files that its flags name, also if there is no `--server` to use them for.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.security.files()
    }

    /// Connects to the server that was named, and asks for its limit on messages.
    pub(super) async fn reach(&self) -> Result<Reached, Error> {
        let Self { server, timeout, connect_timeout, security } = self;
        let timeout = timeout.map(Duration::from);
        let Some(server) = server else {
            return Ok(Reached { client: None, limit: MAX_MAX_MESSAGE_BYTES, timeout });
        };
        let url = security.url(server)?;
        let patience = Duration::from(*connect_timeout);
        let refuse = |error| Error::of_connection(security.explain(error));
        let builder = security.apply(builder(MAX_MAX_MESSAGE_BYTES, None).connect_timeout(patience)).await?;
        let connecting = async {
            let client = builder.connect(&url).await.map_err(refuse)?;
            let limit = limit(&client).await?;
            Ok::<_, Error>((client, limit))
        };
        // The server's system accepts the connection, even if the server hangs: only an answer shows that it serves.
        let waited = timeout.map_or(patience, |timeout| timeout.min(patience));
        match tokio::time::timeout(waited, connecting).await {
            Ok(reached) => {
                let (client, limit) = reached?;
                let client = timeout.map_or_else(|| client.clone(), |timeout| client.with_timeout(timeout));
                Ok(Reached { client: Some(client), limit, timeout })
            }
            Err(_) => Err(Error::Silent { url, waited: waited.into() }),
        }
    }
}

/// The longest message that the server takes. A server that is too old to have GetServerInfo most likely has the
/// default.
async fn limit(client: &Client) -> Result<usize, Error> {
    let (channel, request) = client.request(pb::GetServerInfoRequest {});
    match TensorOpsServiceClient::new(channel).get_server_info(request).await {
        Ok(info) => {
            let limit = usize::try_from(info.into_inner().max_message_bytes).unwrap_or(usize::MAX);
            Ok(limit.min(MAX_MAX_MESSAGE_BYTES))
        }
        Err(status) => {
            let error = client.explain(status);
            // A server that answers with a status speaks gRPC: the calls themselves show its limit.
            if matches!(error, client::Error::Status(_)) {
                Ok(DEFAULT_MAX_MESSAGE_BYTES)
            } else {
                Err(Error::Call(error))
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
        self.client.is_none()
    }

    /// A session for calls of at most `largest` bytes of elements; starts the command's own server if there is no
    /// other.
    pub(super) async fn session(self, largest: usize) -> Result<Session, Error> {
        let Self { client, limit: _, timeout } = self;
        if let Some(client) = client {
            return Ok(Session { client, own: None });
        }
        let max_message_bytes =
            largest.saturating_add(OVERHEAD).clamp(DEFAULT_MAX_MESSAGE_BYTES, MAX_MAX_MESSAGE_BYTES);
        let config =
            ServerConfig { max_message_bytes, buffer_pool_bytes: BUFFER_POOL_BYTES, ..ServerConfig::on_free_port() };
        let own = Running::start(config).await?;
        let client = builder(max_message_bytes, timeout).connect(own.url()).await.map_err(Error::Call)?;
        Ok(Session { client, own: Some(own) })
    }
}

impl Session {
    pub(super) fn client(&self) -> Calls {
        Calls { client: self.client.clone() }
    }

    /// Disconnects, and stops a server of the command's own.
    pub(super) async fn close(self) -> Result<(), Error> {
        let Self { client, own } = self;
        drop(client);
        match own {
            Some(own) => Ok(own.shutdown_and_wait().await?),
            None => Ok(()),
        }
    }
}

/// Makes calls, and repeats them while the server is busy, since a command with many calls should not fail for one.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    client: Client,
}

impl Calls {
    pub(super) async fn normalize(
        &self,
        request: pb::NormalizeRequest,
    ) -> Result<pb::NormalizeResponse, client::Error> {
        patiently(|| self.client.normalize_message(request.clone())).await
    }

    pub(super) async fn dropout(&self, request: pb::DropoutRequest) -> Result<pb::DropoutResponse, client::Error> {
        patiently(|| self.client.dropout_message(request.clone())).await
    }

    pub(super) async fn clip(
        &self,
        request: pb::ClipGradientsRequest,
    ) -> Result<pb::ClipGradientsResponse, client::Error> {
        patiently(|| self.client.clip_gradients_message(request.clone())).await
    }

    pub(super) async fn measure(
        &self,
        request: pb::MeasureGradientsRequest,
    ) -> Result<client::NormPartial, client::Error> {
        patiently(|| self.client.measure_gradients_message(request.clone())).await
    }
}

/// Repeats a call while the server is busy. `call` clones its request, which is cheap: clones share their elements.
async fn patiently<T, C: Future<Output = Result<T, client::Error>>>(
    mut call: impl FnMut() -> C,
) -> Result<T, client::Error> {
    for attempt in 0..TRIES {
        match call().await {
            Err(client::Error::Busy { retry_after, .. }) => {
                let wait = FIRST_WAIT.saturating_mul(1 << attempt);
                tokio::time::sleep(retry_after.unwrap_or_default().clamp(wait, 2 * wait)).await;
            }
            done => return done,
        }
    }
    call().await
}
