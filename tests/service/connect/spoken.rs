//! Where Connect is spoken, and whose pages may call.

use std::net::SocketAddr;

use bytes::Bytes;
use evenkeel::{
    address::Address,
    config::{SecurityConfig, ServerConfig, WebConfig},
};
use http_body_util::{Full, combinators::BoxBody};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::codegen::http::{Request, Response};

use super::{
    ONE,
    client::{Answer, BOTH, JSON, Version},
    start,
};
use crate::{peer::address, socket_folder::socket_folder, until::within};

fn with(connect: Option<bool>, listen: SocketAddr) -> ServerConfig {
    let web = WebConfig { connect, ..WebConfig::default() };
    let security = SecurityConfig { allow_plaintext: true, ..SecurityConfig::default() };
    ServerConfig { listen: Address::Tcp(listen), web, security, ..ServerConfig::default() }
}

/// By default it is spoken where only this machine can connect, and a setting decides otherwise.
#[tokio::test]
async fn it_is_spoken_by_default_where_only_this_machine_calls() {
    let (here, everywhere) = (SocketAddr::from(([127, 0, 0, 1], 0)), SocketAddr::from(([0, 0, 0, 0], 0)));
    for (connect, listen, is_spoken) in [
        (None, here, true),
        (Some(true), here, true),
        (Some(false), here, false),
        (None, everywhere, false),
        (Some(true), everywhere, true),
    ] {
        let server = start(with(connect, listen)).await;
        let answer = Version::Http2.call(&server, "Dropout", JSON, &[], ONE).await;
        assert_eq!(answer.http, if is_spoken { 200 } else { 415 }, "{connect:?} {listen}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(is_spoken || text.contains("application/grpc") && !text.contains("json"), "{text}");
        // HTTP/1.1 is spoken for Connect alone.
        let mut stream = TcpStream::connect((here.ip(), address(&server).port())).await.expect("the server listens");
        stream
            .write_all(b"GET /none HTTP/1.1\r\nhost: evenkeel\r\nconnection: close\r\n\r\n")
            .await
            .expect("it is read");
        let mut said = Vec::new();
        within("the connection ends", stream.read_to_end(&mut said)).await.expect("it is closed");
        assert_eq!(said.starts_with(b"HTTP/1.1 405"), is_spoken, "{connect:?} {listen}");
    }
}

#[tokio::test]
async fn it_is_spoken_on_a_unix_socket() {
    let folder = socket_folder();
    let path = folder.path().join("evenkeel.sock");
    let listen = Address::Unix(path.clone());
    let _server = start(ServerConfig { listen, ..ServerConfig::default() }).await;
    let mut stream = tokio::net::UnixStream::connect(&path).await.expect("the server listens");
    let request = format!(
        "POST /evenkeel.v1.TensorOpsService/Dropout HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{ONE}",
        ONE.len()
    );
    stream.write_all(request.as_bytes()).await.expect("it is read");
    let mut said = String::new();
    within("the connection ends", stream.read_to_string(&mut said)).await.expect("it is closed");
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.contains(r#""kept":"1""#), "{said}");
}

/// A page of another origin may call where the origin is listed. One of the server's own needs no header; nor does a browser send
/// JSON for a page of another origin before it has asked, and it gets no leave.
#[tokio::test]
async fn pages_may_call_whose_origin_is_listed() {
    const OURS: &str = "https://app.example.com";
    const STRANGE: &str = "https://app.example.org";
    for version in BOTH {
        for (origins, origin, is_allowed) in [(&[][..], OURS, false), (&[OURS], OURS, true), (&[OURS], STRANGE, false)]
        {
            let cors_origins = origins.iter().map(|&origin| origin.to_owned()).collect();
            let web = WebConfig { cors_origins, ..WebConfig::default() };
            let server = start(ServerConfig { web, ..ServerConfig::on_free_port() }).await;
            let answer = version.call(&server, "Dropout", JSON, &[("origin", origin)], ONE).await;
            let allowed = |answer: &Answer| answer.header("access-control-allow-origin").to_owned();
            assert_eq!(
                (answer.http, allowed(&answer)),
                (200, if is_allowed { origin.to_owned() } else { String::new() })
            );
            let preflight = Request::options(format!("{}/evenkeel.v1.TensorOpsService/Dropout", server.url()))
                .header("origin", origin)
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "content-type,connect-protocol-version,connect-timeout-ms")
                .body(BoxBody::new(Full::<Bytes>::default()))
                .expect("a request");
            let answer: Response<_> = version.http().request(preflight).await.expect("an answer");
            let answer = Answer::of(answer).await;
            assert_eq!(allowed(&answer), if is_allowed { origin.to_owned() } else { String::new() });
            let may = answer.header("access-control-allow-headers");
            for name in ["content-type", "connect-protocol-version", "connect-timeout-ms"] {
                assert!(may.split(',').any(|listed| listed == name), "{name} is not in {may}");
            }
        }
    }
}
