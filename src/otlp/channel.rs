//! The connection to the collector.

use rustls::{
    crypto::ring,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint, Identity};

use super::EXPORT_TIMEOUT;
use crate::{
    config::{Error, OtlpConfig},
    pem,
    watched::File,
};

/// A connection that is made when something is sent, and again when it was lost. `None`: there is no collector.
///
/// # Errors
/// A file of certificates, or of a key, that cannot be read or used.
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
    let mut settings = ClientTlsConfig::new().timeout(EXPORT_TIMEOUT);
    if let Some(identity) = identity(config)? {
        settings = settings.identity(identity);
    }
    let Some(path) = &config.ca else { return Ok(settings.with_webpki_roots()) };
    let file = File { key: "otlp-ca", path: path.clone() };
    let content = file.read()?;
    Ok(settings.trust_anchors(pem::authorities(&file, &content)?.roots))
}

/// What the collector is shown, if anything.
fn identity(config: &OtlpConfig) -> Result<Option<Identity>, Error> {
    let (Some(cert), Some(key)) = (&config.cert, &config.key) else { return Ok(None) };
    let cert = File { key: "otlp-cert", path: cert.clone() };
    let key = File { key: "otlp-key", path: key.clone() };
    let (cert_pem, key_pem) = (cert.read()?, key.read()?);
    let certificates = pem::certificates(&cert, &cert_pem)?;
    let private = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|error| key.error(error))?;
    // tonic would not say which of the two is wrong.
    CertifiedKey::from_der(certificates, private, &ring::default_provider()).map_err(|error| key.error(error))?;
    Ok(Some(Identity::from_pem(cert_pem, key_pem)))
}
