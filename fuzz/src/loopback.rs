//! Calls over loopback to servers that live as long as the process.

use std::{collections::BTreeMap, sync::OnceLock};

use bytes::Bytes;
use evenkeel::{config::ServerConfig, server::Running};
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::runtime::Runtime;

/// The largest message, in bytes: room for one of several parts.
pub const LIMIT: usize = 1 << 22;

type Http = Client<HttpConnector, BoxBody<Bytes, std::convert::Infallible>>;

/// A server for each path, on a runtime that outlives the cases.
pub struct Servers {
    runtime: Runtime,
    direct: Running,
    codec: Running,
}

/// An answer as it is on the wire.
#[derive(Debug, PartialEq)]
pub struct Answer {
    status: u16,
    headers: BTreeMap<String, Vec<u8>>,
    data: Vec<u8>,
    trailers: BTreeMap<String, Vec<u8>>,
}

impl Answer {
    /// Headers and trailers together, and no data.
    fn without_data(mut self) -> Self {
        self.headers.append(&mut self.trailers);
        self.data.clear();
        self
    }

    /// The one message of an answer, without its prefix.
    pub fn message(&self) -> &[u8] {
        self.data.get(5..).unwrap_or_default()
    }

    /// A header, or a trailer where the answer had begun, as text; empty if there is none.
    pub fn header(&self, name: &str) -> String {
        let value = self.headers.get(name).or_else(|| self.trailers.get(name));
        value.map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    }
}

/// The servers, started at the first call.
pub fn servers() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let runtime = Runtime::new().expect("a runtime");
        let start = async |codec_path| {
            let config = ServerConfig { codec_path, max_message_bytes: LIMIT, ..ServerConfig::on_free_port() };
            Running::start(config).await.expect("the server starts")
        };
        let (direct, codec) = runtime.block_on(async { (start(false).await, start(true).await) });
        Servers { runtime, direct, codec }
    })
}

impl Servers {
    /// The direct path's answer to a message that comes whole.
    pub fn call(&self, method: &str, message: &[u8]) -> Answer {
        self.runtime.block_on(self.send(&self.direct, method, vec![Frame::data(framed(message).into())]))
    }

    /// Both paths' answers to the same frames. Of an answer that is an error, only what it says: the direct path may have
    /// begun it, and says in the trailers what is said in the headers elsewhere.
    pub fn both(&self, method: &str, frames: impl Fn() -> Vec<Frame<Bytes>>) -> (Answer, Answer) {
        let (direct, codec) = self.runtime.block_on(async {
            tokio::join!(self.send(&self.direct, method, frames()), self.send(&self.codec, method, frames()))
        });
        if codec.headers.contains_key("grpc-status") {
            (direct.without_data(), codec.without_data())
        } else {
            (direct, codec)
        }
    }

    async fn send(&self, server: &Running, method: &str, frames: Vec<Frame<Bytes>>) -> Answer {
        let frames = tokio_stream::iter(frames.into_iter().map(Ok));
        let request = Request::post(format!("{}/evenkeel.v1.TensorOpsService/{method}", server.url()))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(BodyExt::boxed(StreamBody::new(frames)))
            .expect("a request");
        // A connection for each call: a server ends one on which much was wrong, and the next case would suffer for it.
        let mut connector = HttpConnector::new();
        // Else what is sent after the first packet waits 40 ms for the acknowledgement of that.
        connector.set_nodelay(true);
        let http: Http = Client::builder(TokioExecutor::new()).http2_only(true).build(connector);
        let response = http.request(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("the whole of it");
        let trailers = body.trailers().map(sorted).unwrap_or_default();
        let data = body.to_bytes().to_vec();
        Answer { status: parts.status.as_u16(), headers: sorted(&parts.headers), data, trailers }
    }
}

fn sorted(headers: &HeaderMap) -> BTreeMap<String, Vec<u8>> {
    let pairs = headers.iter().filter(|(name, _)| *name != "date");
    pairs.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}

/// A message with its prefix.
pub fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat()
}
