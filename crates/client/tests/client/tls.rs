//! TLS and mutual TLS, with certificates made here.

use std::{fs, net::Ipv4Addr, sync::Arc, time::Duration};

use evenkeel::{
    config::{SecurityConfig, ServerConfig},
    server::Running,
};
use evenkeel_client::{Builder, Client, Error};
use ndarray::{Array1, array};
use rustls::{
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    TestResult,
    authority::{Authority, write},
    start,
    until::within,
};

/// A server with this certificate, which requires certificates by `client_ca` if that is given. The folder has its files.
async fn serve(certificate: (String, String), client_ca: Option<&Authority>) -> (TempDir, Running) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let [cert, key, ca] = ["cert.pem", "key.pem", "ca.pem"].map(|name| folder.path().join(name));
    write(folder.path(), certificate);
    if let Some(client_ca) = client_ca {
        fs::write(&ca, client_ca.pem()).expect("it can be written");
    }
    let security = SecurityConfig {
        tls_cert: Some(cert),
        tls_key: Some(key),
        tls_client_ca: client_ca.map(|_| ca),
        ..Default::default()
    };
    let server = Running::start(ServerConfig { security, ..ServerConfig::on_free_port() }).await;
    (folder, server.expect("the server starts"))
}

/// Makes a unary call whose message comes in several frames, and one that is a stream.
async fn call(client: &Client) -> Result<(), Error> {
    let x = Array1::from_iter((0..1 << 20).map(|i| i as f32));
    let answer = client.dropout(x.view(), 0.0, 1).send().await?;
    assert_eq!(answer.output, x);
    assert_eq!(client.measure_gradients([("g", array![3.0_f32, 4.0])]).send().await?.total_norm(), 5.0);
    Ok(())
}

/// The error of a client that must fail, when it connects or at its first call.
async fn failure(builder: Builder, url: &str) -> Error {
    match builder.connect(url).await {
        Ok(client) => call(&client).await.expect_err("the server or the client must refuse"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn calls_are_answered_over_tls() -> TestResult {
    let authority = Authority::new();
    let (_folder, server) = serve(authority.sign(), None).await;
    let builder = || Client::builder().tls_ca(authority.pem());
    let client = builder().connections(2.try_into()?).connect(server.url()).await?;
    call(&client).await?;
    call(&builder().codec_path(true).connect(server.url()).await?).await?;
    call(&builder().connect_lazy(server.url())?).await?;
    // Several authorities, as in a bundle.
    let bundle = format!("{}{}", Authority::new().pem(), authority.pem());
    call(&Client::builder().tls_ca(bundle).connect(server.url()).await?).await?;
    drop(client);
    Ok(server.shutdown_and_wait().await?)
}

#[tokio::test]
async fn a_server_must_be_who_it_should_be() {
    let authority = Authority::new();
    let (_folder, server) = serve(authority.sign_for(&["evenkeel.example"]), None).await;
    let builder = || Client::builder().tls_ca(authority.pem());
    for (builder, reason) in [
        (Client::builder().tls_ca(Authority::new().pem()), "invalid peer certificate: UnknownIssuer"),
        (builder(), "certificate not valid for name"),
        (builder().tls_server_name("other.example"), "certificate not valid for name \"other.example\""),
    ] {
        let error = builder.connect(server.url()).await.expect_err(reason);
        assert!(matches!(error, Error::Connect { .. }), "{error:?}");
        assert!(error.to_string().contains(reason) && error.to_string().contains(&server.url()), "{error}");
    }
    let client = builder().tls_server_name("evenkeel.example").connect(server.url()).await.expect("it is this one");
    call(&client).await.expect("it is trusted");
    // A lazy client learns it from its first call.
    let client =
        Client::builder().tls_ca(Authority::new().pem()).connect_lazy(server.url()).expect("all is well-formed");
    let error = call(&client).await.expect_err("it is not trusted");
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
}

#[tokio::test]
async fn a_client_shows_its_certificate() {
    let (authority, of_clients) = (Authority::new(), Authority::new());
    let (_folder, server) = serve(authority.sign(), Some(&of_clients)).await;
    let builder = || Client::builder().tls_ca(authority.pem()).retries(0);
    let (cert, key) = of_clients.sign();
    let client = builder().tls_cert(cert).tls_key(key).connect(server.url()).await.expect("it has one");
    call(&client).await.expect("it is of the authority");

    let (cert, key) = Authority::new().sign();
    let stranger = builder().tls_cert(cert).tls_key(key);
    for (builder, alert) in [(builder(), "CertificateRequired"), (stranger, "UnknownCA")] {
        // Many times, since the connection breaks in one of several ways: the server closes it right after the alert.
        for _ in 0..30 {
            let error = failure(builder.clone(), &server.url()).await;
            assert!(error.to_string().contains(&format!("received fatal alert: {alert}")), "{error}: {error:?}");
        }
    }
}

#[tokio::test]
async fn plain_text_and_tls_do_not_meet() -> TestResult {
    let authority = Authority::new();
    let (_folder, encrypted) = serve(authority.sign(), None).await;
    let plain = encrypted.url().replace("https", "http");
    let error = failure(Client::builder(), &plain).await;
    assert!(matches!(error, Error::Unavailable { .. } | Error::Connect { .. }), "{error:?}");

    let (server, _) = start().await?;
    let encrypted = server.url().replace("http", "https");
    let error = failure(Client::builder().tls_ca(authority.pem()), &encrypted).await;
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_given_up() -> TestResult {
    // The kernel accepts connections for a listener that never calls `accept`.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("https://{}", silent.local_addr()?);
    let builder = Client::builder().tls_ca(Authority::new().pem()).connect_timeout(Duration::from_millis(50));
    match builder.connect(url).await {
        Err(error @ Error::Connect { .. }) => assert!(error.to_string().contains("elapsed"), "{error}"),
        other => panic!("{other:?}"),
    }
    Ok(())
}

/// The client's first bytes, with the windows and the frame size, are the same with TLS and without.
#[tokio::test]
async fn the_transport_is_the_same_under_tls() -> TestResult {
    let authority = Authority::new();
    let (cert, key) = authority.sign();
    let mut settings = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(cert.as_bytes())?],
            PrivateKeyDer::from_pem_slice(key.as_bytes())?,
        )?;
    settings.alpn_protocols = vec![b"h2".to_vec()];

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let builder = || Client::builder().max_frame_bytes(1 << 18).stream_window_bytes(1 << 19);
    let address = listener.local_addr()?;
    let (client, accepted) = tokio::join!(builder().connect(format!("http://{address}")), listener.accept());
    let plain = greeting(accepted?.0).await?;
    drop(client?);

    let encrypted = async {
        let (stream, _) = listener.accept().await?;
        greeting(TlsAcceptor::from(Arc::new(settings)).accept(stream).await?).await
    };
    let builder = builder().tls_ca(authority.pem());
    let (client, encrypted) = tokio::join!(builder.connect(format!("https://{address}")), encrypted);
    client?;
    assert_eq!(encrypted?, plain);
    Ok(())
}

/// The bytes that a client of HTTP/2 sends up to its first WINDOW_UPDATE.
async fn greeting(stream: impl AsyncRead + Unpin) -> std::io::Result<Vec<u8>> {
    within("the client's first WINDOW_UPDATE", greeting_in_the_end(stream)).await
}

async fn greeting_in_the_end(mut stream: impl AsyncRead + Unpin) -> std::io::Result<Vec<u8>> {
    const PREFACE: usize = 24;
    const HEADER: usize = 9;
    const WINDOW_UPDATE: u8 = 8;
    let mut said = vec![0; PREFACE];
    stream.read_exact(&mut said).await?;
    loop {
        let mut header = [0; HEADER];
        stream.read_exact(&mut header).await?;
        let [a, b, c, kind, ..] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).await?;
        said.extend([&header[..], &payload].concat());
        if kind == WINDOW_UPDATE {
            return Ok(said);
        }
    }
}

#[track_caller]
fn refused(builder: Builder, url: &str, expected: &str, words: &str) {
    match builder.connect_lazy(url) {
        Err(error @ Error::Setting { setting, .. }) => {
            assert!(setting == expected && error.to_string().contains(words), "{expected}: {error}");
        }
        other => panic!("{expected}: {other:?}"),
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_named_by_its_setting() {
    const URL: &str = "https://127.0.0.1:50051";
    let authority = Authority::new();
    let builder = || Client::builder().tls_ca(authority.pem());
    let ((cert, key), (_, other)) = (authority.sign(), authority.sign());
    let (no_end, no_certificate) = (cert.replace("-----END", ""), cert.replace("MII", "AAA"));

    for (pem, words) in
        [("", "no certificate"), (&key, "no certificate"), (&no_end, "not PEM"), (&no_certificate, "BadEncoding")]
    {
        refused(Client::builder().tls_ca(pem), URL, "tls_ca", words);
        refused(builder().tls_cert(pem).tls_key(&*key), URL, "tls_cert", words);
    }
    for (pem, words) in [("", "no private key"), (&cert, "no private key"), (&other, "not the key of tls_cert")] {
        refused(builder().tls_cert(&*cert).tls_key(pem), URL, "tls_key", words);
    }
    let nonsense = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    refused(builder().tls_cert(&*cert).tls_key(nonsense), URL, "tls_key", "key");
    refused(builder().tls_cert(&*cert), URL, "tls_cert", "tls_key is missing");
    refused(builder().tls_key(&*key), URL, "tls_key", "tls_cert is missing");
    refused(builder().tls_server_name("no name"), URL, "tls_server_name", "'no name'");

    // Settings of TLS without TLS are refused.
    for url in ["http://127.0.0.1:50051", "127.0.0.1:50051", "unix:/run/evenkeel.sock"] {
        refused(builder(), url, "tls_ca", "https://");
        refused(Client::builder().tls_cert(&*cert), url, "tls_cert", "https://");
        refused(Client::builder().tls_key(&*key), url, "tls_key", "https://");
        refused(Client::builder().tls_server_name("localhost"), url, "tls_server_name", "https://");
    }
}

#[test]
fn keys_are_not_shown() {
    let (cert, key) = Authority::new().sign();
    let shown = format!("{:?}", Client::builder().tls_ca(&*cert).tls_cert(cert).tls_key(&*key));
    let line = key.lines().nth(1).expect("a line of base64");
    assert!(!shown.contains(line) && !shown.contains(&format!("{:?}", key.as_bytes())[1..20]), "{shown}");
}
