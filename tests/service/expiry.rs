//! The metrics of files that are read again when they change: the date on which the certificate in use expires, and
//! whether the last change could be used.

use std::fs;

use evenkeel::{
    config::{OtlpConfig, SecurityConfig, ServerConfig},
    server::Running,
};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tempfile::TempDir;

use crate::{
    authority::write,
    metrics::{config, scrape, value},
    until::until,
};

const EXPIRY: &str = "evenkeel_tls_certificate_expiry_timestamp_seconds";

/// A certificate that expires at the beginning of this year, and its key, in PEM.
fn ends(year: i32) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    params.not_after = date_time_ymd(year, 1, 1);
    (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

/// A server of TLS whose metrics are served, with its certificate and key in `cert.pem` and `key.pem`, and tokens in `tokens`.
pub(crate) fn secured() -> (TempDir, ServerConfig) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    write(folder.path(), ends(2040));
    fs::write(folder.path().join("tokens"), "one").expect("it can be written");
    let [tls_cert, tls_key, auth_token_file] =
        ["cert.pem", "key.pem", "tokens"].map(|name| Some(folder.path().join(name)));
    let security = SecurityConfig { tls_cert, tls_key, auth_token_file, ..Default::default() };
    (folder, ServerConfig { security, ..config() })
}

/// Waits until the last change of these files can be used, or cannot.
async fn await_unusable(server: &Running, files: &str, unusable: f64) {
    let is_said = async || value(&scrape(server).await, "evenkeel_files_unusable", &[("files", files)]) == unusable;
    until(&format!("evenkeel_files_unusable of {files} is {unusable}"), is_said).await;
}

#[tokio::test]
async fn the_end_of_the_certificate_in_use_is_a_metric() {
    let (folder, config) = secured();
    // The second certificate of the chain has another date; only the first counts.
    let (cert, key) = ends(2040);
    write(folder.path(), (format!("{cert}{}", ends(2070).0), key));
    let server = Running::start(config).await.expect("the server starts");
    let first = 2_208_988_800.0;
    assert_eq!(scrape(&server).await[EXPIRY], first);
    // A certificate without its key is not used.
    fs::write(folder.path().join("cert.pem"), ends(2060).0).expect("it can be written");
    await_unusable(&server, "tls", 1.0).await;
    assert_eq!(scrape(&server).await[EXPIRY], first);
    // A certificate has dates from 2050 on in another format.
    write(folder.path(), ends(2060));
    await_unusable(&server, "tls", 0.0).await;
    assert_eq!(scrape(&server).await[EXPIRY], 2_840_140_800.0);
}

#[tokio::test]
async fn without_tls_there_is_no_certificate_to_end() {
    let server = Running::start(config()).await.expect("the server starts");
    let series = scrape(&server).await;
    assert!(!series.contains_key(EXPIRY), "{series:?}");
    for files in ["tls", "tokens", "collector_tls", "collector_headers"] {
        assert_eq!(value(&series, "evenkeel_files_unusable", &[("files", files)]), 0.0);
    }
}

#[tokio::test]
async fn tokens_and_headers_that_cannot_be_used_are_a_metric() {
    let (folder, config) = secured();
    let headers = folder.path().join("headers");
    fs::write(&headers, "a: b").expect("it can be written");
    let otlp = OtlpConfig {
        endpoint: Some("http://127.0.0.1:1".to_owned()),
        headers_file: Some(headers),
        ..Default::default()
    };
    let server = Running::start(ServerConfig { otlp, ..config }).await.expect("the server starts");
    for (name, files, good) in [("tokens", "tokens", "two"), ("headers", "collector_headers", "c: d")] {
        fs::write(folder.path().join(name), "").expect("it can be written");
        await_unusable(&server, files, 1.0).await;
        let series = scrape(&server).await;
        let all = series.iter().filter(|(name, _)| name.starts_with("evenkeel_files_unusable"));
        assert_eq!(all.map(|(_, unusable)| unusable).sum::<f64>(), 1.0, "{files} alone");
        fs::write(folder.path().join(name), good).expect("it can be written");
        await_unusable(&server, files, 0.0).await;
    }
}
