//! A collector behind TLS, and one that asks for the certificate of the sender.

use std::{fs, path::Path};

use evenkeel::{
    config::{OtlpConfig, ServerConfig},
    server::{Error, Running},
};
use evenkeel_proto::v1 as pb;
use rustix::process::Signal;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tempfile::TempDir;

use super::collector::{Collector, spans};
use crate::{
    authority::{Authority, write},
    harness::{Client, f32s, normalize},
    process::{Process, run, stderr},
    until::{until, within},
};

/// The variable with which spans are sent after a millisecond.
pub(super) const AT_ONCE: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "1");

/// A folder with the certificate of the authority, in `ca.pem`.
pub(super) fn trusting(authority: &Authority) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("ca.pem"), authority.pem()).expect("it can be written");
    folder
}

/// The flags of a server that sends to this port, and trusts the authority in the folder.
pub(super) fn sending(port: u16, folder: &Path) -> [String; 3] {
    [
        "--listen=127.0.0.1:0".to_owned(),
        format!("--otlp-endpoint=https://localhost:{port}"),
        format!("--otlp-ca={}", folder.join("ca.pem").display()),
    ]
}

pub(super) async fn call(client: &mut Client) {
    let request = normalize(pb::NormKind::Layer, f32s(&[2], &[1.0, 2.0]));
    client.normalize(request).await.expect("it is right");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_behind_tls_gets_spans_and_metrics_with_the_headers_of_the_file() {
    let authority = Authority::new();
    let (folder, mut collector) = (trusting(&authority), Collector::start(Some(authority.sign())).await);
    let headers = folder.path().join("headers");
    fs::write(&headers, "# who sends\nAuthorization: Bearer first-secret\nx-both: of the file\n").expect("writable");
    let flags = sending(collector.address.port(), folder.path());
    let file = format!("--otlp-headers-file={}", headers.display());
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain([file.as_str(), "--log-level=debug"]).collect();
    let variables = [AT_ONCE, ("OTEL_EXPORTER_OTLP_HEADERS", "x-both=of the variable,x-one=of%20the%20variable")];

    let shown = run(&[&["config"], &flags[..]].concat(), &variables);
    let text = String::from_utf8(shown.stdout.clone()).expect("text");
    assert!(text.contains("otlp-headers-file = ") && text.contains("otlp-ca = "), "{text}{}", stderr(&shown));
    assert!(!text.contains("secret") && !text.contains("variable"), "{text}");

    let process = Process::start(&flags, &variables);
    let mut client = process.client().await;
    call(&mut client).await;
    let request = collector.next_spans().await;
    for (name, value) in
        [("authorization", "Bearer first-secret"), ("x-both", "of the file"), ("x-one", "of the variable")]
    {
        let values: Vec<_> = request.metadata().get_all(name).iter().collect();
        assert_eq!(values, [value], "{name}");
    }
    let spans = spans(request.into_inner());
    assert!(spans.iter().any(|span| span.name == "evenkeel.v1.TensorOpsService/Normalize"), "{spans:?}");

    // A new token is used without a restart.
    fs::write(&headers, "authorization: Bearer second-secret\n").expect("writable");
    let renewed = async || {
        call(&mut client).await;
        let request = collector.next_spans().await;
        request.metadata().get("authorization").is_some_and(|value| value == "Bearer second-secret")
    };
    until("spans come with the new token", renewed).await;
    drop(client);
    let (status, _, log) = process.stop(Signal::TERM);
    assert_eq!(status.code(), Some(0), "{log}");
    let metrics = within("metrics are sent at the end", collector.metrics.recv()).await.expect("the collector serves");
    assert_eq!(metrics.metadata().get("authorization").expect("it is there"), "Bearer second-secret");
    assert!(!log.contains("secret"), "{log}");
}

/// OpenTelemetry's own variables have the address and the authority.
#[tokio::test(flavor = "multi_thread")]
async fn the_variables_of_opentelemetry_name_the_collector_and_its_authority() {
    let authority = Authority::new();
    let (folder, mut collector) = (trusting(&authority), Collector::start(Some(authority.sign())).await);
    let endpoint = format!("https://localhost:{}", collector.address.port());
    let ca = folder.path().join("ca.pem").display().to_string();
    let variables =
        [AT_ONCE, ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_EXPORTER_OTLP_CERTIFICATE", &ca)];
    let process = Process::start(&["--listen=127.0.0.1:0"], &variables);
    call(&mut process.client().await).await;
    collector.next_spans().await;
    assert_eq!(process.stop(Signal::TERM).0.code(), Some(0));
}

/// The certificate is set by the flags, and by OpenTelemetry's own variables.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_asks_for_a_certificate_is_shown_it() {
    let (authority, of_clients) = (Authority::new(), Authority::new());
    let folder = trusting(&authority);
    write(folder.path(), of_clients.sign());
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name).display().to_string());
    for by_flags in [true, false] {
        let mut collector = Collector::start_mutual(authority.sign(), of_clients.pem()).await;
        let mut flags = sending(collector.address.port(), folder.path()).to_vec();
        let mut variables = vec![AT_ONCE];
        if by_flags {
            flags.extend([format!("--otlp-cert={cert}"), format!("--otlp-key={key}")]);
        } else {
            variables.push(("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &cert));
            variables.push(("OTEL_EXPORTER_OTLP_CLIENT_KEY", &key));
        }
        let process = Process::start(&flags.iter().map(String::as_str).collect::<Vec<_>>(), &variables);
        call(&mut process.client().await).await;
        let request = collector.next_spans().await;
        let shown = request.peer_certs().expect("it has seen a certificate");
        let own = CertificateDer::from_pem_file(&cert).expect("PEM");
        assert_eq!(shown[..], [own]);
        assert_eq!(process.stop(Signal::TERM).0.code(), Some(0));
    }
}

/// Every kind of invalid pair of certificate and key: the error names the setting of the wrong one.
#[test]
fn a_certificate_that_cannot_be_shown_is_named_by_its_setting() {
    let authority = Authority::new();
    let folder = trusting(&authority);
    write(folder.path(), authority.sign());
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).expect("it can be written");
        path.display().to_string()
    };
    let [cert, key, nowhere] =
        ["cert.pem", "key.pem", "nowhere"].map(|name| folder.path().join(name).display().to_string());
    let (empty, another) = (file("empty", ""), file("another", &authority.sign().1));
    for (cert, key, named) in [
        (&nowhere, &key, "otlp-cert"),
        (&empty, &key, "otlp-cert"),
        (&key, &key, "otlp-cert"),
        (&cert, &nowhere, "otlp-key"),
        (&cert, &empty, "otlp-key"),
        (&cert, &cert, "otlp-key"),
        (&cert, &another, "otlp-key"),
    ] {
        let [cert, key] = [format!("--otlp-cert={cert}"), format!("--otlp-key={key}")];
        let output = run(&["--listen=127.0.0.1:0", "--otlp-endpoint=https://127.0.0.1:1", &cert, &key], &[]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(64), "{cert} {key}: {said}");
        assert!(said.contains(&format!("--{named}")), "{cert} {key}: {said}");
        assert!(!said.contains("PRIVATE KEY"), "{said}");
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_by_their_setting() {
    for (key, contents) in [
        ("otlp-ca", &[None, Some(""), Some("not PEM")][..]),
        ("otlp-headers-file", &[None, Some(""), Some("secret")][..]),
    ] {
        for content in contents {
            let folder = TempDir::new().expect("a folder");
            let path = folder.path().join("file");
            if let Some(content) = content {
                fs::write(&path, content).expect("it can be written");
            }
            let endpoint = Some("https://127.0.0.1:1".to_owned());
            let otlp = match key {
                "otlp-ca" => OtlpConfig { endpoint, ca: Some(path.clone()), ..Default::default() },
                _ => OtlpConfig { endpoint, headers_file: Some(path.clone()), ..Default::default() },
            };
            let config = ServerConfig { otlp, ..ServerConfig::on_free_port() };
            let error = Running::start(config).await.expect_err("it is needed");
            assert!(matches!(&error, Error::Config(error) if error.key == key), "{key} {content:?}: {error}");
            let flag = format!("--{key}={}", path.display());
            let output = run(&["--listen=127.0.0.1:0", "--otlp-endpoint=https://127.0.0.1:1", &flag], &[]);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(64), "{key} {content:?}: {said}");
            assert!(said.contains(&format!("--{key}")) && said.contains(path.to_str().expect("text")), "{said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }
}
