//! Certificates, for every test that needs some: those of the client crate and of the command line include this file.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// Who signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Another one each time, by its name and by its key.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let mut params = CertificateParams::new([]).expect("no names");
        let name = format!("authority {}", COUNT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Its own certificate, in PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this machine and its key, in PEM.
    pub(crate) fn sign(&self) -> (String, String) {
        self.sign_for(&["localhost", "127.0.0.1"])
    }

    /// A certificate for these names and its key, in PEM.
    pub(crate) fn sign_for(&self, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let params = CertificateParams::new(names).expect("names");
        (params.signed_by(&key, &self.0).expect("a certificate").pem(), key.serialize_pem())
    }
}

/// Writes a certificate and its key to `cert.pem` and `key.pem`.
pub(crate) fn write(folder: &Path, (cert, key): (String, String)) {
    fs::write(folder.join("cert.pem"), cert).expect("it can be written");
    fs::write(folder.join("key.pem"), key).expect("it can be written");
}
