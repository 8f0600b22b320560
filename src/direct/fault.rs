//! The errors of requests that are not one plain message.
//!
//! tonic's decoder makes these errors from the frames of the request. [`RawDecoder`] separates messages without decoding them: the
//! errors do not depend on what the messages contain, and decoding them may take long.

use std::sync::{Arc, OnceLock};

use bytes::{Buf as _, Bytes};
use http_body_util::BodyExt as _;
use tonic::{
    Status, Streaming,
    body::Body,
    codec::{DecodeBuf, Decoder},
};

use crate::error::Error;

/// The error of a request that is not one plain message. `limit` is the length of the longest message, in bytes.
pub(super) async fn fault(body: Body, limit: usize) -> Error {
    // tonic takes a request whose client leaves for one that has ended.
    let failure = Arc::<OnceLock<Error>>::default();
    let failed = Arc::clone(&failure);
    let body = body.map_err(move |status| {
        if let Some(error) = Error::of(&status) {
            failed.get_or_init(|| error.clone());
        }
        status
    });
    let mut messages = messages(Body::new(body), limit);
    let status = match messages.message().await {
        Ok(Some(_)) => messages.trailers().await.err(),
        Ok(None) => match failure.get() {
            Some(error) => return error.clone(),
            None => Some(Status::internal("Missing request message.")),
        },
        Err(status) => Some(status),
    };
    let status = status.unwrap_or_else(|| Status::internal("the message is not whole"));
    Error::receiving(&status, limit)
}

/// Reads the rest of a request whose message has come, to its end.
///
/// # Errors
/// The body's own; more messages that are cut, longer than `limit`, or compressed.
pub(super) async fn rest(body: Body, limit: usize) -> Result<(), Error> {
    messages(body, limit).trailers().await.map(drop).map_err(|status| Error::receiving(&status, limit))
}

fn messages(body: Body, limit: usize) -> Streaming<Bytes> {
    Streaming::new_request(RawDecoder, body, None, Some(limit))
}

/// A decoder that returns the bytes of each message.
#[derive(Clone, Copy, Debug, Default)]
struct RawDecoder;

impl Decoder for RawDecoder {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}
