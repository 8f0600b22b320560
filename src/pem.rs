//! Certificates in files.

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use crate::setting::{Error, File};

/// The certificates in what the file contains.
///
/// # Errors
/// It is not PEM, or holds no certificate.
pub(crate) fn certificates(file: &File, content: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    // A byte order mark would hide the first of them.
    let content = content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(content);
    let certificates = CertificateDer::pem_slice_iter(content).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| file.error(error))?;
    if certificates.is_empty() { Err(file.error("there is no certificate in it")) } else { Ok(certificates) }
}

/// When a certificate ends, in seconds of Unix time; `None`: that cannot be read.
pub(crate) fn expiry(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// As [`certificates`], of those who may have signed others.
///
/// # Errors
/// It is not PEM, holds no certificate, or one that cannot be used.
pub(crate) fn authorities(file: &File, content: &[u8]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file, content)? {
        roots.add(certificate).map_err(|error| file.error(error))?;
    }
    Ok(roots)
}
