//! TLS connections to the collector, each with the certificates of the moment when it is made. tonic's own TLS keeps
//! those of the start, and a certificate that is renewed every day would expire before the server ends.

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll},
};

use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::codegen::{Service, http::Uri};

use crate::watched::Reloaded;

/// The ALPN name of HTTP/2, which gRPC speaks inside of TLS.
pub(super) const HTTP_2: &[u8] = b"h2";

/// Makes connections to one collector.
#[derive(Clone)]
pub(super) struct Connector {
    tcp: HttpConnector,
    settings: Reloaded<ClientConfig>,
    uri: Uri,
    name: ServerName<'static>,
}

impl Connector {
    /// `None`: the URL has no host that a certificate could be for.
    pub(super) fn new(uri: Uri, settings: Reloaded<ClientConfig>) -> Option<Self> {
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).ok()?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Some(Self { tcp, settings, uri, name })
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    /// The address is the connector's own, since tonic's is one of plain text.
    fn call(&mut self, _: Uri) -> Self::Future {
        let connecting = self.tcp.call(self.uri.clone());
        let (settings, name) = (self.settings.get(), self.name.clone());
        Box::pin(async move {
            let stream = TlsConnector::from(settings).connect(name, connecting.await?.into_inner()).await?;
            if stream.get_ref().1.alpn_protocol() != Some(HTTP_2) {
                return Err("the collector does not speak HTTP/2".into());
            }
            Ok(TokioIo::new(stream))
        })
    }
}
