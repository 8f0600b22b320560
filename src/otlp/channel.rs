//! The connection to the collector.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use tonic::{
    codegen::http::{Uri, uri::Scheme},
    transport::{Channel, Endpoint},
};

use super::{
    EXPORT_TIMEOUT,
    connector::{Connector, HTTP_2},
};
use crate::{
    config::OtlpConfig,
    metrics::Files,
    pem,
    setting::{Error, File},
    watched::{Reloaded, Reloads},
};

/// The settings of the files, each by its flag and by OpenTelemetry's own variable: one of the two.
const CA: [&str; 2] = ["otlp-ca", "OTEL_EXPORTER_OTLP_CERTIFICATE"];
const CERT: [&str; 2] = ["otlp-cert", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"];
const KEY: [&str; 2] = ["otlp-key", "OTEL_EXPORTER_OTLP_CLIENT_KEY"];

/// A connection that is made when something is sent, and made again after it was lost, with the files' content of that
/// moment.
/// `None`: there is no collector. The task that reads the files again is added to `reloads`.
///
/// # Errors
/// A file of certificates, or of a key, that cannot be read or used.
pub(super) fn connect(config: &OtlpConfig, reloads: &mut Reloads) -> Result<Option<Channel>, Error> {
    let Some(url) = config.endpoint.clone() else { return Ok(None) };
    let refused = |reason: String| Error { key: config.named("otlp-endpoint"), reason };
    let endpoint = Endpoint::from_shared(url).map_err(|error| refused(error.to_string()))?;
    let endpoint = endpoint.connect_timeout(EXPORT_TIMEOUT).timeout(EXPORT_TIMEOUT);
    if !config.is_https() {
        return Ok(Some(endpoint.connect_lazy()));
    }
    let files = [(CA, &config.ca), (CERT, &config.cert), (KEY, &config.key)];
    let files =
        files.into_iter().filter_map(|([key, _], path)| Some(File { key: config.named(key), path: path.clone()? }));
    let files = files.collect();
    let (settings, reload) = Reloaded::load(files, settings)?;
    reloads.watch(reload, Files::CollectorTls);
    let uri = endpoint.uri().clone();
    let connector = Connector::new(uri.clone(), settings).ok_or_else(|| refused(format!("{uri} has no host")))?;
    Ok(Some(stand_in(endpoint, uri).connect_with_connector_lazy(connector)))
}

/// The endpoint as one of plain text: if tonic is built with TLS of its own, it lets no other connector go to https://.
/// `origin` gives requests the scheme https.
fn stand_in(endpoint: Endpoint, uri: Uri) -> Endpoint {
    let mut parts = uri.clone().into_parts();
    parts.scheme = Some(Scheme::HTTP);
    let Ok(plain) = Uri::from_parts(parts) else { return endpoint };
    Endpoint::from(plain).connect_timeout(EXPORT_TIMEOUT).timeout(EXPORT_TIMEOUT).origin(uri)
}

/// The settings of TLS from these files: they trust the authorities in the file and no others. Without a file they
/// trust those that browsers trust, which come with the program, since a small container has none. The certificate is
/// shown if there is one.
fn settings(files: &[File], contents: &[Vec<u8>]) -> Result<ClientConfig, Error> {
    let file = |keys: [&str; 2]| files.iter().zip(contents).find(|(file, _)| keys.contains(&file.key));
    let roots = match file(CA) {
        Some((file, content)) => pem::authorities(file, content)?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring has all versions")
        .with_root_certificates(roots);
    let mut settings = match (file(CERT), file(KEY)) {
        (Some((cert, cert_pem)), Some((key, key_pem))) => {
            let certificates = pem::certificates(cert, cert_pem)?;
            let private = PrivateKeyDer::from_pem_slice(key_pem).map_err(|error| key.error(error))?;
            // This also checks that the key belongs to the certificate.
            CertifiedKey::from_der(certificates.clone(), private.clone_key(), &provider)
                .map_err(|error| key.error(error))?;
            builder.with_client_auth_cert(certificates, private).map_err(|error| key.error(error))?
        }
        (_, _) => builder.with_no_client_auth(),
    };
    settings.alpn_protocols = vec![HTTP_2.to_vec()];
    Ok(settings)
}
