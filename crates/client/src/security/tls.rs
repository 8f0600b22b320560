//! TLS: the authorities that the client trusts, and the certificate that it presents.

use std::{fmt, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName,
        pem::{self, PemObject as _},
    },
    server::ParsedCertificate,
};
use tonic::codegen::http::Uri;

use super::{
    LastWords,
    connector::{Connector, HTTP_2},
};
use crate::{Builder, Error};

/// The settings of a [`Builder`] for `https://` addresses.
#[derive(Clone, Debug, Default)]
pub(super) struct Tls {
    ca: Option<Pem>,
    cert: Option<Pem>,
    key: Option<Pem>,
    server_name: Option<String>,
}

/// The content of a PEM file, which may be a private key: `Debug` does not show it.
#[derive(Clone)]
struct Pem(Vec<u8>);

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pem")
    }
}

/// TLS, with the feature `tls`. These settings need an `https://` address; such an address needs none of them if the system
/// trusts the authority that has signed the server's certificate. The client reads PEM when it is built, and PEM that cannot be
/// used is an [`Error::Setting`] with the name of the method.
///
/// ```
/// use std::fs;
///
/// use evenkeel_client::Client;
/// # use evenkeel::{config::{SecurityConfig, ServerConfig}, server::Running};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let file = |name| folder.path().join(name);
/// # let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
/// # fs::write(file("ca.pem"), made.cert.pem())?;
/// # fs::write(file("client.pem"), made.cert.pem())?;
/// # fs::write(file("client.key"), made.signing_key.serialize_pem())?;
/// # fs::write(file("token"), "secret\n")?;
/// # let security = SecurityConfig {
/// #     tls_cert: Some(file("client.pem")),
/// #     tls_key: Some(file("client.key")),
/// #     tls_client_ca: Some(file("ca.pem")),
/// #     auth_token_file: Some(file("token")),
/// #     ..Default::default()
/// # };
/// # let server = Running::start(ServerConfig { security, ..ServerConfig::on_free_port() }).await?;
/// # let url = server.url();
/// let client = Client::builder()
///     .tls_ca(fs::read(file("ca.pem"))?)
///     .tls_cert(fs::read(file("client.pem"))?) // if the server asks for one
///     .tls_key(fs::read(file("client.key"))?)
///     .token(fs::read_to_string(file("token"))?.trim())
///     .connect(url) // https://evenkeel.example.com:50051
///     .await?;
/// # client.dropout(&ndarray::array![1.0_f32], 0.5, 1).send().await?;
/// # Ok(())
/// # }
/// ```
impl Builder {
    /// The certificates, in PEM, one of which must have signed the server's. Default: those that the system trusts.
    pub fn tls_ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.security.tls.ca = Some(Pem(pem.into()));
        self
    }

    /// The client's certificate in PEM, followed by those that it was signed with, for a server that asks for one.
    /// Needs [`tls_key`](Self::tls_key). Default: none.
    pub fn tls_cert(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.security.tls.cert = Some(Pem(pem.into()));
        self
    }

    /// The private key, in PEM and not encrypted, of [`tls_cert`](Self::tls_cert). Default: none.
    pub fn tls_key(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.security.tls.key = Some(Pem(pem.into()));
        self
    }

    /// The DNS name or IP address that must be in the server's certificate. Default: the URL's host.
    pub fn tls_server_name(mut self, name: impl Into<String>) -> Self {
        self.security.tls.server_name = Some(name.into());
        self
    }
}

impl Tls {
    /// The name of one setting that is set, if any is.
    pub(super) fn any(&self) -> Option<&'static str> {
        let Self { ca, cert, key, server_name } = self;
        [
            ("tls_ca", ca.is_some()),
            ("tls_cert", cert.is_some()),
            ("tls_key", key.is_some()),
            ("tls_server_name", server_name.is_some()),
        ]
        .into_iter()
        .find_map(|(name, is_set)| is_set.then_some(name))
    }

    /// Makes connections to the server at `uri`.
    pub(super) fn connector(&self, uri: Uri, last_words: LastWords) -> Result<Connector, Error> {
        let host = uri.host().unwrap_or_default();
        let name = self.server_name.as_deref().unwrap_or(host.trim_start_matches('[').trim_end_matches(']'));
        let Ok(name) = ServerName::try_from(name.to_owned()) else {
            return Err(Error::setting("tls_server_name", format!("'{name}' is neither a DNS name nor an IP address")));
        };
        Ok(Connector::new(uri, name, self.config()?, last_words))
    }

    fn config(&self) -> Result<ClientConfig, Error> {
        let Self { ca, cert, key, server_name: _ } = self;
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has TLS 1.2 and 1.3")
            .with_root_certificates(match ca {
                Some(Pem(pem)) => roots(pem)?,
                None => system()?,
            });
        let mut config = match (cert, key) {
            (Some(Pem(cert)), Some(Pem(key))) => {
                let (chain, key) = identity(cert, key)?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    let is_another = matches!(error, rustls::Error::InconsistentKeys(_));
                    let reason =
                        if is_another { "it is not the key of tls_cert".to_owned() } else { error.to_string() };
                    Error::setting("tls_key", reason)
                })?
            }
            (Some(_), None) => return Err(Error::setting("tls_cert", "tls_key is missing")),
            (None, Some(_)) => return Err(Error::setting("tls_key", "tls_cert is missing")),
            (None, None) => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![HTTP_2.to_vec()];
        Ok(config)
    }
}

/// The authorities that were given.
fn roots(pem: &[u8]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("tls_ca", pem)? {
        roots.add(certificate).map_err(|error| Error::setting("tls_ca", error.to_string()))?;
    }
    Ok(roots)
}

/// The authorities that the system trusts, without those that rustls cannot parse, which most systems have.
fn system() -> Result<RootCertStore, Error> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable > 0 {
        return Ok(roots);
    }
    let reasons: String = found.errors.iter().map(|error| format!(": {error}")).collect();
    Err(Error::setting("tls_ca", format!("it is not given, and the system has no certificates{reasons}")))
}

/// A certificate, with those that it was signed with, and its key.
fn identity(cert: &[u8], key: &[u8]) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
    let chain = certificates("tls_cert", cert)?;
    for certificate in &chain {
        ParsedCertificate::try_from(certificate).map_err(|error| Error::setting("tls_cert", error.to_string()))?;
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| refuse("tls_key", &error, "private key"))?;
    Ok((chain, key))
}

fn certificates(setting: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|error| refuse(setting, &error, "certificate"))?;
    if certificates.is_empty() {
        return Err(refuse(setting, &pem::Error::NoItemsFound, "certificate"));
    }
    Ok(certificates)
}

/// The error of a setting in which no `wanted` can be read.
fn refuse(setting: &'static str, error: &pem::Error, wanted: &str) -> Error {
    let reason = if matches!(error, pem::Error::NoItemsFound) {
        format!("there is no {wanted} in it")
    } else {
        format!("it is not PEM: {error}")
    };
    Error::setting(setting, reason)
}
