//! A server on a task of its own.

use std::net::SocketAddr;

use tokio::{sync::oneshot, task::JoinHandle};

use super::{Error, Server};
use crate::{address::Address, config::ServerConfig};

/// A server that serves in the background, on the runtime it was started on: for tests, examples and programs that
/// carry their own. Dropping it begins the shutdown without waiting for it.
#[derive(Debug)]
pub struct Running {
    address: Address,
    url: String,
    metrics: Option<SocketAddr>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), Error>>,
}

impl Running {
    /// Binds and serves; when this returns, calls are answered.
    ///
    /// # Errors
    /// As [`Server::bind`].
    pub async fn start(config: ServerConfig) -> Result<Self, Error> {
        let server = Server::bind(config).await?;
        let (address, url) = (server.address().clone(), server.url());
        let metrics = server.metrics_address();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.serve(async {
            // An error means that `Running` was dropped, which stops the server as well.
            let _ = stopped.await;
        }));
        Ok(Self { address, url, metrics, stop, serving })
    }

    /// The IP address and port that were bound; `None` for a Unix domain socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.address.tcp()
    }

    /// The address of the metrics; `None`: they are not served.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// The URL that a client connects to: `http://127.0.0.1:PORT`, `https://` with TLS, or `unix:PATH`.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Stops accepting calls and waits until those in flight are answered.
    ///
    /// # Errors
    /// As [`Server::serve`], and [`Error::Task`].
    pub async fn shutdown_and_wait(self) -> Result<(), Error> {
        let Self { address: _, url: _, metrics: _, stop, serving } = self;
        // An error means that the server has ended already; its result below has the reason.
        let _ = stop.send(());
        serving.await?
    }
}
