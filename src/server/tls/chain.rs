//! Limits on the chains of clients' certificates.
//!
//! rustls keeps each certificate of a chain as long as the connection. A chain of thousands that are a byte long, which nothing
//! parses, would take 1.5 MiB. And where several certificates have the name of an issuer, its library tries each of them, at each
//! step of the way to an authority: eight of one name would take a serving thread up to two seconds.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

/// The most certificates between a client's own and its authority's. Chains of public authorities have three at most, and rustls follows no longer ones.
const MAX_INTERMEDIATES: usize = 6;

/// The most of them that have the same subject: an authority may have signed another one's key, which then has two certificates.
const MAX_OF_A_SUBJECT: usize = 2;

/// Verifies the certificates of clients whose chains are short and have few ways to an authority. The handshake of others ends when
/// the chain has come.
#[derive(Debug)]
pub(super) struct ShortChains(pub(super) Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for ShortChains {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if intermediates.len() > MAX_INTERMEDIATES {
            return Err(CertificateError::UnknownIssuer.into());
        }
        let parsed = intermediates.iter().map(|certificate| X509Certificate::from_der(certificate));
        let parsed: Vec<_> = parsed.collect::<Result<_, _>>().map_err(|_| CertificateError::BadEncoding)?;
        let of_subject = |subject| parsed.iter().filter(|(_, other)| other.subject().as_raw() == subject).count();
        if parsed.iter().any(|(_, one)| of_subject(one.subject().as_raw()) > MAX_OF_A_SUBJECT) {
            return Err(CertificateError::UnknownIssuer.into());
        }
        self.0.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.0.requires_raw_public_keys()
    }
}
