//! The connection to the collector.

use rustls::RootCertStore;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use super::EXPORT_TIMEOUT;
use crate::{
    config::{Error, OtlpConfig},
    pem,
    watched::File,
};

/// A connection that is made when something is sent, and again when it was lost. `None`: there is no collector.
///
/// # Errors
/// A file of certificates that cannot be read or used.
pub(super) fn connect(config: &OtlpConfig) -> Result<Option<Channel>, Error> {
    let Some(url) = config.endpoint.clone() else { return Ok(None) };
    let is_https = config.is_https();
    let refused = |error: tonic::transport::Error| Error { key: "otlp-endpoint", reason: error.to_string() };
    let mut endpoint = Endpoint::from_shared(url).map_err(refused)?;
    if is_https {
        endpoint = endpoint.tls_config(tls(config)?).map_err(refused)?;
    }
    Ok(Some(endpoint.connect_timeout(EXPORT_TIMEOUT).timeout(EXPORT_TIMEOUT).connect_lazy()))
}

/// Trusts the authorities of the file, and no others, or those that browsers trust: they come with the program, since a
/// small container has none.
fn tls(config: &OtlpConfig) -> Result<ClientTlsConfig, Error> {
    let settings = ClientTlsConfig::new().timeout(EXPORT_TIMEOUT);
    let Some(path) = &config.ca else { return Ok(settings.with_webpki_roots()) };
    let file = File { key: "otlp-ca", path: path.clone() };
    let content = file.read()?;
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(&file, &content)? {
        roots.add(certificate).map_err(|error| file.error(error))?;
    }
    Ok(settings.trust_anchors(roots.roots))
}
