//! A client of Connect, over HTTP/1.1 or HTTP/2, in JSON or protobuf.

use std::convert::Infallible;

use bytes::Bytes;
use evenkeel::server::Running;
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tonic::codegen::http::{HeaderMap, Request, Response};

use crate::until::within;

pub(super) const SERVICE: &str = "evenkeel.v1.TensorOpsService";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

pub(super) const BOTH: [Version; 2] = [Version::Http1, Version::Http2];

pub(super) const JSON: &str = "application/json";
pub(super) const PROTO: &str = "application/proto";
pub(super) const JSON_STREAM: &str = "application/connect+json";
pub(super) const PROTO_STREAM: &str = "application/connect+proto";

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) http: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) async fn of(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = within("the answer ends", body.collect()).await.expect("the whole of it").to_bytes();
        Self { http: head.status.as_u16(), headers: head.headers, body }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("it is text"))
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// The code of an error, and its message.
    pub(super) fn error(&self) -> (String, String) {
        assert_eq!(self.header("content-type"), JSON, "{self:?}");
        let error = self.json();
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        (text("code"), text("message"))
    }

    /// The messages of a stream, and the text of the last one, which ends it.
    pub(super) fn messages(&self) -> (Vec<Bytes>, Value) {
        let (mut messages, mut rest) = (Vec::new(), self.body.clone());
        loop {
            assert!(rest.len() >= 5, "the stream has no end: {:?}", self.body);
            let prefix = rest.split_to(5);
            let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
            let message = rest.split_to(length);
            match prefix[0] {
                0 => messages.push(message),
                2 => {
                    assert!(rest.is_empty(), "the end is the last");
                    return (messages, serde_json::from_slice(&message).expect("the end is JSON"));
                }
                flag => panic!("a message with the flag {flag}"),
            }
        }
    }
}

impl Version {
    pub(super) fn http(self) -> Http<HttpConnector, BoxBody<Bytes, Infallible>> {
        Http::builder(TokioExecutor::new()).http2_only(self == Self::Http2).build_http()
    }

    /// Sends this body to a path.
    pub(super) async fn send(
        self,
        server: &Running,
        path: &str,
        headers: &[(&str, &str)],
        body: BoxBody<Bytes, Infallible>,
    ) -> Response<Incoming> {
        let mut request = Request::post(format!("{}/{path}", server.url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).expect("a request");
        within("an answer", self.http().request(request)).await.expect("the server answers")
    }

    /// A call of the tensor service, with the length of its body.
    pub(super) async fn call(
        self,
        server: &Running,
        method: &str,
        content_type: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let headers = [&[("content-type", content_type)], headers].concat();
        let body = BoxBody::new(Full::new(body.into()));
        Answer::of(self.send(server, &format!("{SERVICE}/{method}"), &headers, body).await).await
    }

    /// The same in frames of `cut` bytes, without the length.
    pub(super) async fn call_in_frames(
        self,
        server: &Running,
        method: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        cut: usize,
    ) -> Answer {
        let frames: Vec<_> = body.chunks(cut).map(|frame| Ok(Frame::data(Bytes::copy_from_slice(frame)))).collect();
        let body = BoxBody::new(StreamBody::new(tokio_stream::iter(frames)));
        Answer::of(self.send(server, &format!("{SERVICE}/{method}"), headers, body).await).await
    }
}
