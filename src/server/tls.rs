//! TLS: the server's certificate, and the authorities of clients' certificates.

mod chain;

use std::{fmt, sync::Arc};

use evenkeel_transport::TlsSettings;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};

use self::chain::ShortChains;
use crate::{
    config::{Error, SecurityConfig},
    pem,
    scrape::Certificate,
    setting::File,
    watched::{Reload, Reloaded},
};

/// The ALPN name of HTTP/2, which gRPC speaks inside of TLS.
const HTTP_2: &[u8] = b"h2";
/// The ALPN name of HTTP/1.1, which gRPC-Web can speak as well.
const HTTP_1: &[u8] = b"http/1.1";

/// The settings of TLS, made from files that may change.
#[derive(Clone)]
pub(crate) struct Tls(Reloaded<Presented>);

/// The settings that are made from the files.
pub(super) struct Presented {
    settings: Arc<ServerConfig>,
    /// The end of the server's own certificate, in seconds of Unix time; `None`: it cannot be read.
    expiry: Option<i64>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// `None`: there is no certificate. The second value keeps the first up to date. `web`: clients may choose HTTP/1.1.
    ///
    /// # Errors
    /// A file that cannot be read, or whose content cannot be used.
    pub(super) fn new(config: &SecurityConfig, web: bool) -> Result<Option<(Self, Reload<Presented>)>, Error> {
        let (Some(cert), Some(key)) = (&config.tls_cert, &config.tls_key) else { return Ok(None) };
        let files =
            [("tls-cert", Some(cert)), ("tls-key", Some(key)), ("tls-client-ca", config.tls_client_ca.as_ref())];
        let files = files.into_iter().filter_map(|(key, path)| Some(File { key, path: path?.clone() })).collect();
        let (settings, reload) = if web {
            Reloaded::load(files, |files, contents| presented(files, contents, &[HTTP_2, HTTP_1]))?
        } else {
            Reloaded::load(files, |files, contents| presented(files, contents, &[HTTP_2]))?
        };
        Ok(Some((Self(settings), reload)))
    }
}

impl Certificate for Tls {
    fn expiry(&self) -> Option<i64> {
        self.0.get().expiry
    }
}

impl TlsSettings for Tls {
    fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.get().settings)
    }
}

/// The settings from these files: the certificates, their key, and the authorities of clients' certificates, if clients
/// need one. `protocols`: the ALPN names, the preferred first.
fn presented(files: &[File], contents: &[Vec<u8>], protocols: &[&[u8]]) -> Result<Presented, Error> {
    let cert = pem::certificates(&files[0], &contents[0])?;
    let expiry = cert.first().and_then(pem::expiry);
    let key = PrivateKeyDer::from_pem_slice(&contents[1]).map_err(|error| files[1].error(error))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| files[0].error(error))?;
    let builder = match (files.get(2), contents.get(2)) {
        (Some(file), Some(content)) => {
            let roots = Arc::new(pem::authorities(file, content)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            let verifier = ShortChains(verifier.map_err(|error| file.error(error))?);
            builder.with_client_cert_verifier(Arc::new(verifier))
        }
        (None, _) | (_, None) => builder.with_no_client_auth(),
    };
    let mut settings = builder.with_single_cert(cert, key).map_err(|error| files[1].error(error))?;
    if files.len() > 2 {
        // A session that is resumed would bring the client's certificate with it, which is not verified again: after its end the
        // client could go on for ever.
        settings.session_storage = Arc::new(NoServerSessionStorage {});
        settings.send_tls13_tickets = 0;
    }
    settings.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Presented { settings: Arc::new(settings), expiry })
}
