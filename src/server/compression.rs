//! Decompresses requests and compresses responses. The layers behind this one, on the direct path and on the codec's, see plain
//! messages only. A compressed response decompresses to the same bits as the response to a plain request.
//!
//! A message is decompressed while it arrives, step by step, and other tasks have a turn in between. Both what a step reads
//! and what it writes are bounded, since most bytes of a message may decompress to nothing. Every piece is reserved before it
//! is allocated, and a message ends at the limit for all messages: a decompression bomb takes no more memory than a plain
//! message of the largest size. A response is compressed only if its request was, and with the same encoding: tensors hardly get
//! shorter, and a client that only accepts gzip has not asked for the work.

mod answer;
mod coder;
mod request;

use std::sync::Arc;

use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue};

pub(super) use self::{
    answer::{Compressed, Encoders},
    request::{Account, Decompressed},
};
use crate::{config::Encoding, grpc};

/// The header with the encodings that its sender accepts.
const ACCEPTED: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// The room for the first step of a message that is expected to stay small, in bytes.
const SHORT_PIECE: usize = 1024;

/// The most bytes that a step writes.
const PIECE: usize = 64 << 10;
/// The bytes, read or written, after which other tasks have a turn.
const TURN_BYTES: usize = 2 * PIECE;

/// The encodings that are understood.
#[derive(Clone, Debug)]
pub(super) struct Compression {
    encodings: Arc<[Encoding]>,
    accepted: HeaderValue,
    encoders: Encoders,
}

impl Compression {
    /// Returns `None` if `encodings` is empty: messages are then plain.
    pub(super) fn new(encodings: &[Encoding]) -> Option<Self> {
        let names = encodings.iter().map(|encoding| encoding.name());
        let accepted = ["identity"].into_iter().chain(names).collect::<Vec<_>>().join(",");
        let accepted = HeaderValue::from_str(&accepted).expect("the names are plain text");
        (!encodings.is_empty()).then(|| Self { encodings: encodings.into(), accepted, encoders: Encoders::new() })
    }

    /// The encoding of a request's messages, if it is one that is understood. It is removed from the headers, since the
    /// messages will be plain.
    pub(super) fn take(&self, headers: &mut HeaderMap) -> Option<Encoding> {
        let name = headers.get(&grpc::ENCODING)?.as_bytes();
        let encoding = self.encodings.iter().copied().find(|encoding| encoding.name().as_bytes() == name)?;
        headers.remove(&grpc::ENCODING);
        Some(encoding)
    }

    /// A body with the messages of `body` in this encoding.
    pub(super) fn compressed<B>(&self, body: B, encoding: Encoding) -> Compressed<B> {
        Compressed::new(body, encoding, self.encoders.clone())
    }

    /// Adds the accepted encodings to an answer's headers, and the encoding of its messages if they are compressed.
    pub(super) fn say(&self, answer: &mut HeaderMap, encoding: Option<Encoding>) {
        answer.insert(ACCEPTED, self.accepted.clone());
        if let Some(encoding) = encoding {
            answer.insert(&grpc::ENCODING, HeaderValue::from_static(encoding.name()));
        }
    }
}

/// Whether a client accepts messages in this encoding.
pub(super) fn is_accepted(headers: &HeaderMap, encoding: Encoding) -> bool {
    let lists = headers.get_all(ACCEPTED).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|name| name.trim() == encoding.name())
}
