//! `evenkeel health`: asks a server whether it serves. A container's health check, which has no other program to run.

use std::{
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    time::Duration,
};

use clap::Args;
use evenkeel_client::{self as client, Client};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use super::{
    error::{causes, is_plain_text},
    security::{Refused, SecurityArgs},
    session::duration,
};
use crate::{address::Address, config::DEFAULT_LISTEN, streams::Blocking};

/// How long the connection and the answer may take together, unless told otherwise: less than the timeout of the
/// image's health check, so that the check can say what is wrong before it is killed.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3);

/// The flags of `evenkeel health`.
#[derive(Args, Clone, Debug)]
pub struct HealthArgs {
    /// The server, HOST:PORT or a URL such as `http://127.0.0.1:50051`. Default: the address of `--listen`, with TLS if a flag for TLS is given.
    #[arg(long, value_name = "URL", env = "EVENKEEL_SERVER")]
    pub server: Option<String>,

    /// Where a server on this machine listens, if `--server` is not given. A wildcard address is asked on loopback.
    #[arg(long, value_name = "ADDR", env = "EVENKEEL_LISTEN", default_value_t = DEFAULT_LISTEN)]
    pub listen: Address,

    /// The server's configuration file, of which the key `listen` is used.
    #[arg(long, value_name = "FILE", env = "EVENKEEL_CONFIG")]
    pub config: Option<PathBuf>,

    /// The gRPC service to ask about; empty: the server as a whole.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub service: String,

    /// How long the answer may take, such as `3s` or `500ms`.
    #[arg(long, value_name = "DURATION", default_value_t = DEFAULT_TIMEOUT.into(), value_parser = duration)]
    pub timeout: humantime::Duration,

    /// What a server with TLS or tokens wants.
    #[command(flatten)]
    pub security: SecurityArgs,
}

/// The reason why a server is not known to serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A flag for TLS or the token cannot be used, or not with this server.
    #[error(transparent)]
    Usage(#[from] Refused),
    /// No server answers there, or not the expected one.
    #[error("{url}: cannot connect: {}", causes(source))]
    Connect {
        /// The server.
        url: String,
        /// What went wrong.
        source: client::Error,
    },
    /// The server answered a TLS handshake with something else.
    #[error("{url}: cannot connect: {}: the server speaks plain text there; http:// reaches it", causes(source))]
    PlainText {
        /// The server.
        url: String,
        /// The error of the handshake.
        source: client::Error,
    },
    /// The server does not answer in time.
    #[error("{url}: no answer within {timeout}")]
    Timeout {
        /// The server.
        url: String,
        /// How long it was given.
        timeout: humantime::Duration,
    },
    /// The server refuses the request: it does not know the service, wants a token, or does not serve health; or the
    /// connection broke, as it does if the server wants a certificate.
    #[error("{url}: {source}")]
    Call {
        /// The server.
        url: String,
        /// Its answer.
        source: client::Error,
    },
    /// The server answers that it does not serve: it is shutting down, or its self-check has not passed.
    #[error("{url}: {}", status.as_str_name())]
    NotServing {
        /// The server.
        url: String,
        /// Its answer.
        status: ServingStatus,
    },
    /// The answer cannot be written to standard output.
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

impl Error {
    /// Whether the command line is at fault.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Usage(_) => true,
            Self::Connect { .. }
            | Self::PlainText { .. }
            | Self::Timeout { .. }
            | Self::Call { .. }
            | Self::NotServing { .. }
            | Self::Output(_) => false,
        }
    }
}

impl HealthArgs {
    /// Asks once, and prints `SERVING` if that is the answer.
    ///
    /// # Errors
    /// Any other answer, or none.
    pub async fn run(self) -> Result<(), Error> {
        let Self { server, listen, config: _, service, timeout, security } = self;
        let url = match server {
            Some(server) => security.url(&server)?,
            None => reachable(listen).url(security.is_tls()),
        };
        match tokio::time::timeout(timeout.into(), ask(url.clone(), service, security)).await {
            Ok(Ok(ServingStatus::Serving)) => {
                let line = format!("{}\n", ServingStatus::Serving.as_str_name());
                match Blocking(io::stdout()).write_all(line.as_bytes()) {
                    // Where standard output is closed the exit code is enough.
                    Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
                    Ok(()) | Err(_) => Ok(()),
                }
            }
            Ok(Ok(status)) => Err(Error::NotServing { url, status }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::Timeout { url, timeout }),
        }
    }
}

/// The address at which a server that listens on `listen` can be reached from the same machine.
fn reachable(mut listen: Address) -> Address {
    if let Address::Tcp(address) = &mut listen
        && address.ip().is_unspecified()
    {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    listen
}

async fn ask(url: String, service: String, security: SecurityArgs) -> Result<ServingStatus, Error> {
    let client = match security.apply(Client::builder()).await?.connect(&url).await {
        Ok(client) => client,
        Err(error) => {
            return Err(match security.explain(error) {
                Ok(refused) => refused.into(),
                Err(source) if is_plain_text(&source) => Error::PlainText { url, source },
                Err(source) => Error::Connect { url, source },
            });
        }
    };
    let (channel, request) = client.request(HealthCheckRequest { service });
    match HealthClient::new(channel).check(request).await {
        Ok(answer) => Ok(answer.into_inner().status()),
        Err(status) => Err(Error::Call { url, source: client.explain(status) }),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use tonic::Code;

    use super::*;
    use crate::{
        cli::{Cli, Command},
        config::ServerConfig,
        server::Running,
    };

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    fn arguments(flags: &[&str]) -> HealthArgs {
        let Command::Health(arguments) =
            Cli::try_parse_from(["evenkeel", "health"].iter().chain(flags)).expect("the flags are right").command
        else {
            panic!("`health` is parsed as another command");
        };
        arguments
    }

    #[tokio::test]
    async fn a_server_is_found_by_its_url_and_by_its_address() -> Outcome {
        let server = Running::start(ServerConfig::on_free_port()).await?;
        arguments(&["--server", &server.url()]).run().await?;
        let address = server.local_addr().ok_or("it is no TCP port")?;
        arguments(&["--listen", &address.to_string()]).run().await?;
        arguments(&["--listen", &format!("0.0.0.0:{}", address.port())]).run().await?;
        arguments(&["--server", &server.url(), "--service", "evenkeel.v1.TensorOpsService"]).run().await?;
        Ok(server.shutdown_and_wait().await?)
    }

    #[tokio::test]
    async fn an_unknown_service_is_not_healthy() -> Outcome {
        let server = Running::start(ServerConfig::on_free_port()).await?;
        let answer = arguments(&["--server", &server.url(), "--service", "nobody"]).run().await;
        let Err(Error::Call { source: client::Error::Status(status), .. }) = &answer else { panic!("{answer:?}") };
        assert_eq!(status.code(), Code::NotFound);
        Ok(server.shutdown_and_wait().await?)
    }

    #[tokio::test]
    async fn a_server_that_was_stopped_is_not_healthy() -> Outcome {
        let server = Running::start(ServerConfig::on_free_port()).await?;
        let url = server.url();
        server.shutdown_and_wait().await?;
        let answer = arguments(&["--server", &url]).run().await;
        assert!(matches!(answer, Err(Error::Connect { .. })), "{answer:?}");
        Ok(())
    }

    #[tokio::test]
    async fn a_listener_that_never_answers_is_given_up() -> Outcome {
        let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", silent.local_addr()?);
        let answer = arguments(&["--server", &url, "--timeout", "10ms"]).run().await;
        assert!(matches!(answer, Err(Error::Timeout { .. })), "{answer:?}");
        Ok(())
    }

    #[tokio::test]
    async fn a_url_that_is_none_is_named() {
        let answer = arguments(&["--server", "not a url"]).run().await;
        assert!(
            matches!(&answer, Err(error) if error.is_usage() && error.to_string().contains("'not a url'")),
            "{answer:?}"
        );
    }

    #[test]
    fn wildcards_are_reached_on_loopback() {
        for (listen, reached) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:2", "[::1]:2"),
            ("10.1.2.3:3", "10.1.2.3:3"),
            ("[fe80::1]:4", "[fe80::1]:4"),
        ] {
            let listen: Address = listen.parse().expect("an address");
            assert_eq!(reachable(listen).to_string(), reached);
        }
    }
}
