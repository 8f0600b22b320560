//! TLS handshakes, with settings that may change between two of them.

use std::{fmt, io, sync::Arc};

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Where a transport gets the settings of TLS for each handshake, so that a certificate can be replaced while it serves.
pub trait TlsSettings: fmt::Debug + Send + Sync + 'static {
    /// The settings as they are now. `alpn_protocols` names `h2`, and `http/1.1` where that is spoken.
    fn current(&self) -> Arc<ServerConfig>;
}

/// Shakes hands.
///
/// # Errors
/// Why there is no agreement, and the connection: the client is yet to read the alert that tells it so.
pub(crate) async fn accept(
    settings: &dyn TlsSettings,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, (io::Error, TcpStream)> {
    TlsAcceptor::from(settings.current()).accept(stream).into_fallible().await
}
