//! TLS handshakes, with settings that may change between two of them.

use std::{fmt, io, sync::Arc};

use rustls::ServerConfig;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::io::ProbingTcp;

/// Gives a transport the settings of TLS for each handshake, so that a certificate can be replaced while it serves.
pub trait TlsSettings: fmt::Debug + Send + Sync + 'static {
    /// The settings as they are now. `alpn_protocols` must name `h2`, and `http/1.1` where that is spoken.
    fn current(&self) -> Arc<ServerConfig>;
}

/// Shakes hands.
///
/// # Errors
/// The handshake failed: its error, and the connection, on which the client has yet to read the alert with the reason.
pub(crate) async fn accept(
    settings: &dyn TlsSettings,
    stream: ProbingTcp,
) -> Result<TlsStream<ProbingTcp>, (io::Error, ProbingTcp)> {
    TlsAcceptor::from(settings.current()).accept(stream).into_fallible().await
}
