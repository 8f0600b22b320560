//! Calls with any frames, and their responses as they are on the wire.

use std::{collections::BTreeMap, convert::Infallible};

use bytes::Bytes;
use evenkeel::server::Running;
use evenkeel_frames::PREFIX;
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

/// A response as it is on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// The headers without `date`, which differs from call to call.
    pub headers: BTreeMap<String, Vec<u8>>,
    /// The bytes of all data frames.
    pub data: Vec<u8>,
    /// The trailers.
    pub trailers: BTreeMap<String, Vec<u8>>,
}

impl Answer {
    /// Headers and trailers together, and no data.
    #[must_use]
    pub fn without_data(mut self) -> Self {
        self.headers.append(&mut self.trailers);
        self.data.clear();
        self
    }

    /// The message of a response that has one, without its prefix.
    pub fn message(&self) -> &[u8] {
        self.data.get(PREFIX..).unwrap_or_default()
    }

    /// Whether this response and that of tonic's codec tell two faults of the same request: the codec has decoded a message before it
    /// saw that the request has more than one, or is cut; or it has not seen that a stream of messages is cut, and has answered the
    /// messages before, which happens if nothing but the prefix of the last one has come.
    pub fn tells_another_fault(&self, codec: &Self) -> bool {
        let is_undecodable = codec.header("grpc-message").contains("failed%20to%20decode");
        is_undecodable && !["", "0"].contains(&&*self.header("grpc-status"))
            || self.header("grpc-message") == "Unexpected%20EOF%20decoding%20stream."
    }

    /// The header of this name, or else the trailer, as text; empty if there is neither.
    pub fn header(&self, name: &str) -> String {
        let value = self.headers.get(name).or_else(|| self.trailers.get(name));
        value.map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    }
}

/// Sends these frames to a method of the tensor service, and returns the response.
pub async fn send(server: &Running, method: &str, headers: &[(&str, &str)], frames: Vec<Bytes>) -> Answer {
    send_frames(server, method, headers, frames.into_iter().map(Frame::data).collect()).await
}

/// The same for frames of any kind. Each call has a connection of its own, since a server closes a connection after many errors,
/// and the next call on it would fail.
pub async fn send_frames(
    server: &Running,
    method: &str,
    headers: &[(&str, &str)],
    frames: Vec<Frame<Bytes>>,
) -> Answer {
    let mut connector = HttpConnector::new();
    // Nagle's algorithm would hold the bytes after the first packet until that is acknowledged, for 40 ms.
    connector.set_nodelay(true);
    let http = Client::builder(TokioExecutor::new()).http2_only(true).build(connector);
    let mut request = Request::post(format!("{}/evenkeel.v1.TensorOpsService/{method}", server.url()))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let frames = tokio_stream::iter(frames.into_iter().map(Ok::<_, Infallible>));
    let request = request.body(StreamBody::new(frames)).expect("a request");
    let response = http.request(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("the whole of it");
    let trailers = body.trailers().map(sorted).unwrap_or_default();
    Answer { status: parts.status.as_u16(), headers: sorted(&parts.headers), data: body.to_bytes().to_vec(), trailers }
}

fn sorted(headers: &HeaderMap) -> BTreeMap<String, Vec<u8>> {
    let pairs = headers.iter().filter(|(name, _)| *name != "date");
    pairs.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}
