//! All that the server reads of a request's headers, in one place. Only for `fuzz/`.

use std::time::Duration;

use opentelemetry::trace::TraceContextExt as _;
use tonic::codegen::http::{HeaderMap, Method};

use super::{
    compression::{Compression, is_accepted},
    deadline::timeout,
    protocol::NoCall,
    tokens::token,
};
use crate::{config::Encoding, otlp::parent};

/// The values that the server reads from a request's headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Whether it is a call of gRPC.
    pub is_call: bool,
    /// How long the call may take. `None`: there is no limit.
    pub timeout: Option<Duration>,
    /// The bearer token. `None`: there is none.
    pub token: Option<Vec<u8>>,
    /// The encoding of the messages, if it is a known one.
    pub encoding: Option<Encoding>,
    /// The encodings that the client accepts.
    pub accepted: Vec<Encoding>,
    /// The trace and the span that the call belongs to, in hexadecimal. `None`: it has no parent.
    pub parent: Option<(String, String)>,
}

impl Metadata {
    /// Reads the headers as a server does that has tokens, compression and a collector.
    pub fn read(method: &Method, mut headers: HeaderMap) -> Self {
        const ALL: [Encoding; 2] = [Encoding::Gzip, Encoding::Zstd];
        let parent = parent(&headers);
        let parent = parent.has_active_span().then(|| parent.span().span_context().clone());
        Self {
            is_call: NoCall::of(method, &headers).is_none(),
            timeout: timeout(&headers).ok().flatten(),
            token: token(&headers).map(<[u8]>::to_vec),
            accepted: ALL.into_iter().filter(|&encoding| is_accepted(&headers, encoding)).collect(),
            encoding: Compression::new(&ALL).and_then(|compression| compression.take(&mut headers)),
            parent: parent.map(|span| (span.trace_id().to_string(), span.span_id().to_string())),
        }
    }
}
