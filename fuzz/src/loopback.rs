//! Calls over loopback to servers that live as long as the process.

use std::sync::OnceLock;

use bytes::Bytes;
use evenkeel::{config::ServerConfig, server::Running};
pub use evenkeel_testing::{
    answer::{Answer, send_frames},
    frames::framed,
};
use http_body::Frame;
use tokio::runtime::Runtime;

/// The largest message, in bytes: room for one of several parts.
pub const LIMIT: usize = 1 << 22;

/// A server for each path, on a runtime that outlives the cases.
pub struct Servers {
    runtime: Runtime,
    direct: Running,
    codec: Running,
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
        self.runtime.block_on(send_frames(&self.direct, method, &[], vec![Frame::data(framed(message))]))
    }

    /// The direct path's answer to these frames.
    pub fn frames(&self, method: &str, frames: Vec<Frame<Bytes>>) -> Answer {
        self.runtime.block_on(send_frames(&self.direct, method, &[], frames))
    }

    /// Both paths' answers to the same frames. Of an answer that is an error, only what it says: the direct path may have
    /// begun it, and says in the trailers what is said in the headers elsewhere.
    pub fn both(&self, method: &str, frames: impl Fn() -> Vec<Frame<Bytes>>) -> (Answer, Answer) {
        let (direct, codec) = self.runtime.block_on(async {
            tokio::join!(
                send_frames(&self.direct, method, &[], frames()),
                send_frames(&self.codec, method, &[], frames())
            )
        });
        if codec.headers.contains_key("grpc-status") {
            (direct.without_data(), codec.without_data())
        } else {
            (direct, codec)
        }
    }
}
