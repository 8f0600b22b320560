//! Compressed messages: what is behind this sees plain ones, on either path, and the bits of an answer are the same.
//!
//! A message is decompressed while it comes, a step at a time, and other tasks have their turn in between. What a step reads is
//! bounded as well as what it writes: most of a message's bytes may make nothing. Every piece is
//! taken from the budget before it is there, and the message ends at the limit for all messages: a bomb takes no more memory
//! than a message that is as long as it may be. An answer is compressed if its request was, with what that was compressed
//! with: tensors hardly get shorter, and a client that only says that it could read gzip has not asked for the work.

mod answer;
mod coder;
mod request;

use std::sync::Arc;

use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue};

pub(super) use self::{
    answer::Compressed,
    request::{Account, Decompressed},
};
use crate::config::Encoding;

/// How messages of a call are compressed.
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
/// How messages to the sender of this may be.
const ACCEPTED: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// What the first step of a message that is expected to stay small may make, in bytes.
const SHORT_PIECE: usize = 1024;

/// What is written at a time.
const PIECE: usize = 64 << 10;
/// So many bytes later, read or written, others have their turn.
const TURN_BYTES: usize = 2 * PIECE;

/// The encodings that are understood.
#[derive(Clone, Debug)]
pub(super) struct Compression {
    encodings: Arc<[Encoding]>,
    accepted: HeaderValue,
}

impl Compression {
    /// `None`: messages are plain.
    pub(super) fn new(encodings: &[Encoding]) -> Option<Self> {
        let names = encodings.iter().map(|encoding| encoding.name());
        let accepted = ["identity"].into_iter().chain(names).collect::<Vec<_>>().join(",");
        let accepted = HeaderValue::from_str(&accepted).expect("the names are plain text");
        (!encodings.is_empty()).then(|| Self { encodings: encodings.into(), accepted })
    }

    /// How a request's messages are compressed, if they are and it is understood, which its headers then do not say any
    /// more: they will be plain.
    pub(super) fn take(&self, headers: &mut HeaderMap) -> Option<Encoding> {
        let name = headers.get(ENCODING)?.as_bytes();
        let encoding = self.encodings.iter().copied().find(|encoding| encoding.name().as_bytes() == name)?;
        headers.remove(ENCODING);
        Some(encoding)
    }

    /// Says in an answer's headers what may be sent, and how its messages are compressed, if it has any.
    pub(super) fn say(&self, answer: &mut HeaderMap, encoding: Option<Encoding>) {
        answer.insert(ACCEPTED, self.accepted.clone());
        if let Some(encoding) = encoding {
            answer.insert(ENCODING, HeaderValue::from_static(encoding.name()));
        }
    }
}

/// Whether a client reads messages that are compressed so.
pub(super) fn is_accepted(headers: &HeaderMap, encoding: Encoding) -> bool {
    let lists = headers.get_all(ACCEPTED).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|name| name.trim() == encoding.name())
}
