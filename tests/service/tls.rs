//! TLS and mutual TLS, with certificates that the tests make.

use std::{fs, io, net::SocketAddr, sync::Arc, time::Duration};

use evenkeel::{
    config::{ConnectionConfig, SecurityConfig, ServerConfig, WebConfig},
    server::{Error, Running},
};
use prost::Message as _;
use rustls::{AlertDescription, ClientConfig, HandshakeKind, pki_types::ServerName};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::Code;

use crate::{
    authority::{Authority, write},
    harness::{dropout, f32s},
    metrics::scrape,
    peer::{Peer, address, framed},
    until::{until, within},
};

/// The folder with the files of a server, and its settings.
fn files(authority: &Authority, client_ca: Option<&Authority>) -> (TempDir, ServerConfig) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let [cert, key, ca] = ["cert.pem", "key.pem", "ca.pem"].map(|name| folder.path().join(name));
    write(folder.path(), authority.sign());
    if let Some(client_ca) = client_ca {
        fs::write(&ca, client_ca.pem()).expect("it can be written");
    }
    let security = SecurityConfig {
        tls_cert: Some(cert),
        tls_key: Some(key),
        tls_client_ca: client_ca.map(|_| ca),
        ..Default::default()
    };
    (folder, ServerConfig { security, ..ServerConfig::on_free_port() })
}

async fn start(config: ServerConfig) -> Running {
    Running::start(config).await.expect("the server starts")
}

/// Makes a TLS handshake.
async fn shake(settings: ClientConfig, server: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(server).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(settings)).connect(name, stream).await
}

/// Makes a TLS handshake, and then speaks HTTP/2.
pub(crate) async fn connect(settings: ClientConfig, server: SocketAddr) -> io::Result<Peer> {
    let stream = shake(settings, server).await?;
    let peer = Peer::over(&h2::client::Builder::new(), stream).await.map_err(io::Error::other)?;
    Ok(peer)
}

/// Whether a call is answered; a server that refuses a client's certificate says so only after its handshake.
pub(crate) async fn serves(peer: &Peer) -> bool {
    let message = dropout(0.0, f32s(&[1], &[1.0])).encode_to_vec();
    peer.call("Dropout", &message).await.is_ok_and(|status| status.code() == Code::Ok)
}

#[tokio::test]
async fn calls_are_answered_over_tls_and_in_no_other_way() {
    let authority = Authority::new();
    let (_folder, config) = files(&authority, None);
    // Connect is spoken over HTTP/1.1.
    let web = WebConfig { connect: Some(false), ..WebConfig::default() };
    let server = start(ServerConfig { web, ..config }).await;
    let peer = connect(authority.client(None, b"h2"), address(&server)).await.expect("it is trusted");
    assert!(serves(&peer).await);
    // Plain text, another protocol, a client that does not trust it.
    let mut plain = TcpStream::connect(address(&server)).await.expect("the server listens");
    plain.write_all(crate::peer::PREFACE).await.expect("the server reads");
    let mut said = Vec::new();
    // The answer is a TLS alert, or nothing.
    let _ = within("it is closed", plain.read_to_end(&mut said)).await;
    assert!(said.is_empty() || said[0] == 21, "{said:?}");
    connect(authority.client(None, b"http/1.1"), address(&server)).await.expect_err("only HTTP/2 is spoken");
    connect(Authority::new().client(None, b"h2"), address(&server)).await.expect_err("another one has signed it");
    assert!(serves(&peer).await);
    drop(peer);
    server.shutdown_and_wait().await.expect("nothing is in flight");
}

/// With gRPC-Web the client may choose HTTP/1.1 or HTTP/2 in the handshake.
#[tokio::test]
async fn browsers_may_speak_http_1_over_tls() {
    let authority = Authority::new();
    let (_folder, config) = files(&authority, None);
    let web = WebConfig { grpc_web: true, ..Default::default() };
    let server = start(ServerConfig { web, ..config }).await;
    let peer = connect(authority.client(None, b"h2"), address(&server)).await.expect("it is trusted");
    assert!(serves(&peer).await);
    let mut stream = shake(authority.client(None, b"http/1.1"), address(&server)).await.expect("it is trusted");
    let message = framed(&dropout(0.0, f32s(&[1], &[1.0])).encode_to_vec());
    let head = format!(
        "POST /evenkeel.v1.TensorOpsService/Dropout HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/grpc-web\r\ncontent-length: {}\r\n\r\n",
        message.len()
    );
    stream.write_all(&[head.as_bytes(), &message].concat()).await.expect("the server reads");
    let mut said = Vec::new();
    within("the connection ends", stream.read_to_end(&mut said)).await.expect("it ends well");
    assert!(String::from_utf8_lossy(&said).contains("grpc-status:0"), "{}", String::from_utf8_lossy(&said));
}

/// Row 30.
#[tokio::test]
async fn a_client_needs_a_certificate_of_the_authority() {
    let (authority, of_clients) = (Authority::new(), Authority::new());
    let (_folder, config) = files(&authority, Some(&of_clients));
    let server = start(config).await;
    let good = connect(authority.client(Some(of_clients.sign()), b"h2"), address(&server)).await.expect("it has one");
    assert!(serves(&good).await);
    for certificate in [None, Some(authority.sign()), Some(Authority::new().sign())] {
        let peer = connect(authority.client(certificate, b"h2"), address(&server)).await;
        assert!(match peer {
            Ok(peer) => !serves(&peer).await,
            Err(_) => true,
        });
    }
    assert!(serves(&good).await);
}

/// A session that is resumed brings its client's certificate with it, which nobody verifies again. So a client that needs a
/// certificate shows it at each connection.
#[tokio::test]
async fn sessions_with_a_certificate_are_not_resumed() {
    let (authority, of_clients) = (Authority::new(), Authority::new());
    for (client_ca, second) in [(None, HandshakeKind::Resumed), (Some(&of_clients), HandshakeKind::Full)] {
        let (_folder, config) = files(&authority, client_ca);
        let server = start(config).await;
        let settings = authority.client(client_ca.map(Authority::sign), b"h2");
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let mut stream = shake(settings.clone(), address(&server)).await.expect("it is trusted");
            stream.write_all(crate::peer::PREFACE).await.expect("the server reads");
            // The server sends its tickets before the settings of HTTP/2.
            within("the server's settings", stream.read_exact(&mut [0; 9])).await.expect("the connection is open");
            kinds.push(stream.get_ref().1.handshake_kind().expect("it is done"));
        }
        assert_eq!(kinds, [HandshakeKind::Full, second]);
    }
}

/// Each certificate of a chain takes memory as long as the connection, whether it is needed or not, and certificates of one subject
/// are all tried, in every order.
#[tokio::test]
async fn chains_of_many_certificates_are_refused() {
    let (authority, of_clients) = (Authority::new(), Authority::new());
    let (_folder, config) = files(&authority, Some(&of_clients));
    let server = start(config).await;
    // The last argument is the number of certificates with other subjects.
    let with = |of_a_subject: usize, others: usize| {
        let (certificate, key) = of_clients.sign();
        let others: String = (0..others).map(|_| Authority::new().pem()).collect();
        authority.client(Some((certificate + &of_clients.pem().repeat(of_a_subject) + &others, key)), b"h2")
    };
    for (of_a_subject, others) in [(0, 6), (2, 4)] {
        let peer = connect(with(of_a_subject, others), address(&server)).await.expect("they are not too many");
        assert!(serves(&peer).await);
    }
    for (of_a_subject, others) in [(0, 7), (3, 0)] {
        let error = told(with(of_a_subject, others), address(&server)).await;
        let alert = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        assert_eq!(alert, Some(&rustls::Error::AlertReceived(AlertDescription::UnknownCA)), "{error:?}");
    }
}

/// The error of a client that is refused and that writes before it reads, as HTTP/2 clients do.
async fn told(settings: ClientConfig, server: SocketAddr) -> io::Error {
    let mut stream = match shake(settings, server).await {
        Ok(stream) => stream,
        Err(error) => return error,
    };
    stream.write_all(crate::peer::PREFACE).await.expect("the server reads");
    stream.get_ref().0.readable().await.expect("something comes");
    // If the server had closed both directions, this write would fail, and that would be the error that the client
    // reports.
    stream.write_all(&[0; 40 << 10]).await.expect("the server reads on");
    stream.read(&mut [0]).await.expect_err("it is refused")
}

#[tokio::test]
async fn whoever_is_refused_can_read_why() {
    let (authority, of_clients) = (Authority::new(), Authority::new());
    let (_folder, config) = files(&authority, Some(&of_clients));
    let server = start(config).await;
    for _ in 0..50 {
        for (certificate, why) in
            [(None, AlertDescription::CertificateRequired), (Some(authority.sign()), AlertDescription::UnknownCA)]
        {
            let error = told(authority.client(certificate, b"h2"), address(&server)).await;
            let alert = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
            assert_eq!(alert, Some(&rustls::Error::AlertReceived(why)), "{error:?}");
        }
    }
}

/// A client that has been refused and stays is closed after a moment, whether it is silent or goes on sending.
#[tokio::test]
async fn who_is_refused_and_stays_is_closed() {
    let authority = Authority::new();
    let (_folder, config) = files(&authority, None);
    let server = start(ServerConfig { metrics_listen: Some(([127, 0, 0, 1], 0).into()), ..config }).await;
    for goes_on in [false, true] {
        let mut stream = TcpStream::connect(address(&server)).await.expect("the server listens");
        stream.write_all(b"no TLS").await.expect("the server reads");
        let mut alert = Vec::new();
        let closed = within("it is closed", stream.read_to_end(&mut alert)).await;
        closed.expect("it is not reset");
        assert_eq!(alert[..1], [21], "{alert:?}");
        let writing = async { while goes_on && stream.write_all(&[0; 4096]).await.is_ok() {} };
        within("nothing is read from it any more", writing).await;
        until("its place is free", async || scrape(&server).await["evenkeel_connections_open"] == 0.0).await;
    }
    let failed = scrape(&server).await["evenkeel_connections_ended_total{why=\"handshake_failed\"}"];
    assert_eq!(failed, 2.0);
    server.shutdown_and_wait().await.expect("nothing is in flight");
}

#[tokio::test]
async fn a_new_certificate_is_used_and_a_bad_one_is_not() {
    let [first, second] = [Authority::new(), Authority::new()];
    let (folder, config) = files(&first, None);
    let server = start(ServerConfig { metrics_listen: Some(([127, 0, 0, 1], 0).into()), ..config }).await;
    let old = connect(first.client(None, b"h2"), address(&server)).await.expect("it is trusted");
    // A key that does not belong to the certificate, as in the middle of a change.
    fs::write(folder.path().join("key.pem"), second.sign().1).expect("it can be written");
    let trusted = async || connect(first.client(None, b"h2"), address(&server)).await;
    // The old certificate is in use before and after the server has read the new key.
    let is_unusable = async || {
        trusted().await.expect("the old one is in use");
        scrape(&server).await["evenkeel_files_unusable{files=\"tls\"}"] == 1.0
    };
    until("the key is found to be unusable", is_unusable).await;
    trusted().await.expect("the old one is in use");
    write(folder.path(), second.sign());
    let is_used = async || connect(second.client(None, b"h2"), address(&server)).await.is_ok();
    until("the new certificate is in use", is_used).await;
    trusted().await.expect_err("another one has signed it now");
    assert!(serves(&old).await, "connections stay");
}

/// Row 29.
#[tokio::test]
async fn half_a_handshake_is_closed() {
    let authority = Authority::new();
    let (_folder, config) = files(&authority, None);
    // Longer than a handshake takes on a busy machine.
    let connections = ConnectionConfig { handshake_timeout: Duration::from_secs(3), ..Default::default() };
    let server = start(ServerConfig { connections, ..config }).await;
    let peer = connect(authority.client(None, b"h2"), address(&server)).await.expect("it is trusted");
    let mut halves = JoinSet::new();
    // The beginning of a ClientHello of 512 bytes.
    for begins in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let mut half = TcpStream::connect(address(&server)).await.expect("the server listens");
        half.write_all(begins).await.expect("the server reads");
        halves.spawn(async move {
            let _ = within("half a handshake is closed", half.read_to_end(&mut Vec::new())).await;
        });
    }
    // A whole handshake, and then nothing.
    let stream = TcpStream::connect(address(&server)).await.expect("the server listens");
    let connector = TlsConnector::from(Arc::new(authority.client(None, b"h2")));
    let name = ServerName::try_from("localhost").expect("a name");
    let mut silent = connector.connect(name, stream).await.expect("it is trusted");
    let _ = within("the silent one is closed", silent.read_to_end(&mut Vec::new())).await;
    while let Some(closed) = halves.join_next().await {
        closed.expect("it is closed");
    }
    assert!(serves(&peer).await);
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_by_their_setting() {
    let authority = Authority::new();
    for (name, key) in [("cert.pem", "tls-cert"), ("key.pem", "tls-key"), ("ca.pem", "tls-client-ca")] {
        for content in [None, Some(""), Some("not PEM")] {
            let (folder, config) = files(&authority, Some(&authority));
            match content {
                Some(content) => fs::write(folder.path().join(name), content).expect("it can be written"),
                None => fs::remove_file(folder.path().join(name)).expect("it is there"),
            }
            let error = Running::start(config).await.expect_err("it is needed");
            assert!(matches!(&error, Error::Config(error) if error.key == key), "{name} {content:?}: {error}");
        }
    }
}
