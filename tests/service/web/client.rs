//! A client of gRPC-Web, over HTTP/1.1 or HTTP/2, with bytes or base64.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use evenkeel::server::Running;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::TokioExecutor,
};
use tonic::{
    Code, Status,
    codegen::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, request::Builder},
};

use super::SERVICE;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Binary,
    Text,
}

/// How a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) version: Version,
    pub(super) kind: Kind,
}

/// Every way.
pub(super) const ALL: [Way; 4] = [
    Way { version: Version::Http1, kind: Kind::Binary },
    Way { version: Version::Http1, kind: Kind::Text },
    Way { version: Version::Http2, kind: Kind::Binary },
    Way { version: Version::Http2, kind: Kind::Text },
];

impl Kind {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Binary => "application/grpc-web+proto",
            Self::Text => "application/grpc-web-text",
        }
    }

    pub(super) fn answered_as(self) -> &'static str {
        match self {
            Self::Binary => "application/grpc-web+proto",
            Self::Text => "application/grpc-web-text+proto",
        }
    }

    pub(super) fn encode(self, bytes: Bytes) -> Bytes {
        match self {
            Self::Binary => bytes,
            Self::Text => STANDARD.encode(bytes).into(),
        }
    }

    /// Decodes four characters at a time: text that was written in several pieces has padding within.
    pub(super) fn decode(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Binary => bytes.to_vec(),
            Self::Text => bytes.chunks(4).flat_map(|four| STANDARD.decode(four).expect("base64")).collect(),
        }
    }
}

impl Way {
    /// A client that has no connection yet.
    pub(super) fn http(self) -> Http<HttpConnector, Full<Bytes>> {
        Http::builder(TokioExecutor::new()).http2_only(self.version == Version::Http2).build_http()
    }

    /// A request to a method, with the headers that `with` adds.
    pub(super) fn request(
        self,
        server: &Running,
        service: &str,
        method: &str,
        body: Bytes,
        with: impl FnOnce(Builder) -> Builder,
    ) -> Request<Full<Bytes>> {
        let request = Request::post(format!("{}/{service}/{method}", server.url())).header("x-grpc-web", "1");
        with(request).body(Full::new(body)).expect("a request")
    }

    /// Sends this body, in the format of gRPC, and returns the beginning of the answer.
    pub(super) async fn send(
        self,
        server: &Running,
        service: &str,
        method: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Response<Incoming> {
        let request = self.request(server, service, method, self.kind.encode(body), |mut request| {
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            request.header("content-type", self.kind.content_type()).header("accept", self.kind.content_type())
        });
        self.http().request(request).await.expect("an answer")
    }

    /// A call of the tensor service.
    pub(super) async fn call(self, server: &Running, method: &str, body: Bytes) -> Answer {
        Answer::of(self, self.send(server, SERVICE, method, &[], body).await).await
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(super) http: u16,
    pub(super) content_type: String,
    /// The messages, each with its prefix.
    pub(crate) messages: Vec<u8>,
    /// Headers, and trailers if there are any.
    ended: HeaderMap,
}

impl Answer {
    pub(super) async fn of(way: Way, response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let body = way.kind.decode(&body.collect().await.expect("the whole of it").to_bytes());
        let (messages, trailers) = apart(&body);
        let mut ended = parts.headers.clone();
        ended.extend(trailers);
        Self { http: parts.status.as_u16(), content_type: content_type(&parts.headers), messages, ended }
    }

    pub(crate) fn status(&self) -> Status {
        Status::from_header_map(&self.ended).expect("it has ended")
    }

    pub(crate) fn code(&self) -> Code {
        self.status().code()
    }
}

fn content_type(headers: &HeaderMap) -> String {
    headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// Splits a body into its messages, and the trailers that follow as a frame of their own.
fn apart(body: &[u8]) -> (Vec<u8>, HeaderMap) {
    let mut end = 0;
    while let [flag, a, b, c, d, ..] = body[end..] {
        let (begin, length) = (end + 5, u32::from_be_bytes([a, b, c, d]) as usize);
        if flag & 0x80 != 0 {
            assert_eq!(begin + length, body.len(), "trailers are the last");
            return (body[..end].to_vec(), trailers(&body[begin..]));
        }
        end = begin + length;
    }
    assert_eq!(end, body.len(), "messages are whole");
    (body.to_vec(), HeaderMap::new())
}

fn trailers(text: &[u8]) -> HeaderMap {
    let lines = std::str::from_utf8(text).expect("text").split_terminator("\r\n");
    let pair = |line: &str| {
        let (name, value) = line.split_once(':').expect("a name and a value");
        let name: HeaderName = name.parse().expect("a name");
        (name, HeaderValue::from_str(value.trim()).expect("a value"))
    };
    lines.map(pair).collect()
}

/// The same call with gRPC.
pub(crate) async fn grpc(server: &Running, service: &str, method: &str, body: Bytes) -> Answer {
    let way = Way { version: Version::Http2, kind: Kind::Binary };
    let request = Request::post(format!("{}/{service}/{method}", server.url()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(body))
        .expect("a request");
    let (parts, body) = way.http().request(request).await.expect("an answer").into_parts();
    let body = body.collect().await.expect("the whole of it");
    let mut ended = parts.headers.clone();
    ended.extend(body.trailers().cloned().unwrap_or_default());
    let messages = body.to_bytes().to_vec();
    Answer { http: parts.status.as_u16(), content_type: content_type(&parts.headers), messages, ended }
}
