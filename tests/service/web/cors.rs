//! Which pages may call: the CORS headers of preflights and of answers.

use bytes::Bytes;
use evenkeel::config::{ServerConfig, WebConfig};
use http_body_util::Full;
use hyper::body::Incoming;
use prost::Message as _;
use tonic::codegen::http::{HeaderMap, Request, Response};

use super::{
    SERVICE, any_origin,
    client::{Kind, Version, Way},
    start,
};
use crate::{
    harness::{dropout, f32s},
    peer::framed,
};

const OURS: &str = "https://app.example.com";
const ALSO_OURS: &str = "http://localhost:8080";
const STRANGE: &str = "https://app.example.org";

fn ours() -> ServerConfig {
    let web = WebConfig { grpc_web: true, connect: None, cors_origins: vec![OURS.to_owned(), ALSO_OURS.to_owned()] };
    ServerConfig { web, ..ServerConfig::on_free_port() }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().expect("text"))
}

/// The answer to the preflight that a browser sends before a page calls.
async fn preflight(config: ServerConfig, version: Version, origin: &str) -> Response<Incoming> {
    let server = start(config).await;
    let request = Request::options(format!("{}/{SERVICE}/Dropout", server.url()))
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,x-grpc-web,x-user-agent,grpc-timeout,authorization")
        .body(Full::<Bytes>::default())
        .expect("a request");
    Way { version, kind: Kind::Binary }.http().request(request).await.expect("an answer")
}

#[tokio::test]
async fn a_preflight_is_answered_by_whose_page_asks() {
    for version in [Version::Http1, Version::Http2] {
        for (config, origin, allowed) in [
            (ours(), OURS, Some(OURS)),
            (ours(), ALSO_OURS, Some(ALSO_OURS)),
            (ours(), STRANGE, None),
            (ours(), "null", None),
            (ours(), "https://app.example.com.evil.example", None),
            (any_origin(), STRANGE, Some("*")),
            (
                ServerConfig { web: WebConfig { grpc_web: true, connect: None, cors_origins: vec![] }, ..ours() },
                OURS,
                None,
            ),
        ] {
            let answer = preflight(config, version, origin).await;
            assert_eq!(answer.status(), 200, "{version:?} {origin}");
            let headers = answer.headers();
            assert_eq!(header(headers, "access-control-allow-origin"), allowed, "{version:?} {origin}");
            assert_eq!(header(headers, "access-control-allow-credentials"), None);
            assert_eq!(header(headers, "access-control-allow-methods"), Some("POST"));
            assert_eq!(header(headers, "access-control-max-age"), Some("7200"));
            let may = header(headers, "access-control-allow-headers").expect("it lists some");
            for name in ["authorization", "content-type", "grpc-encoding", "grpc-timeout", "x-grpc-web", "x-user-agent"]
            {
                assert!(may.split(',').any(|listed| listed == name), "{name} is not in {may}");
            }
        }
    }
}

#[tokio::test]
async fn an_answer_says_whose_page_may_read_it() {
    let server = start(ours()).await;
    let message = framed(&dropout(0.0, f32s(&[1], &[1.0])).encode_to_vec());
    for version in [Version::Http1, Version::Http2] {
        let way = Way { version, kind: Kind::Binary };
        for (origin, allowed) in [(OURS, Some(OURS)), (STRANGE, None)] {
            let answer = way.send(&server, SERVICE, "Dropout", &[("origin", origin)], message.clone()).await;
            assert_eq!(header(answer.headers(), "access-control-allow-origin"), allowed, "{version:?}");
            let seen = header(answer.headers(), "access-control-expose-headers").expect("it lists some");
            for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
                assert!(seen.split(',').any(|listed| listed == name), "{name} is not in {seen}");
            }
        }
    }
}
