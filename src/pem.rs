//! Certificates in files.

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use crate::setting::{Error, File};

/// The certificates in `content`, which was read from `file`.
///
/// # Errors
/// The content is not PEM, or holds no certificate.
pub(crate) fn certificates(file: &File, content: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    // A byte order mark would hide the first certificate.
    let content = content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(content);
    let certificates = CertificateDer::pem_slice_iter(content).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| file.error(error))?;
    if certificates.is_empty() { Err(file.error("there is no certificate in it")) } else { Ok(certificates) }
}

/// The end of a certificate's validity, in seconds of Unix time; `None` if it cannot be read.
pub(crate) fn expiry(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// The certificates in `content` as authorities, which may have signed others.
///
/// # Errors
/// The content is not PEM, or holds no certificate, or one that cannot be used.
pub(crate) fn authorities(file: &File, content: &[u8]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file, content)? {
        roots.add(certificate).map_err(|error| file.error(error))?;
    }
    Ok(roots)
}
