//! The bytes of a request, from which its messages are read.
//!
//! The errors have the texts of tonic's decoder, which makes the errors of other routes, so that a fault has the same text on every
//! route.

use bytes::Bytes;
use evenkeel_frames::Announced;
use http_body_util::BodyExt as _;
use tonic::{Code, body::Body};

use crate::error::Error;

/// The body of a request, and the bytes of it that have come and were not read.
pub(crate) struct RequestBytes {
    body: Body,
    /// The bytes of one frame that were not read yet.
    pub(crate) input: Bytes,
    limit: usize,
}

impl RequestBytes {
    /// The bytes of this body. `limit` is the length of the longest message, in bytes.
    pub(crate) fn new(body: Body, limit: usize) -> Self {
        Self { body, input: Bytes::new(), limit }
    }

    /// Waits for more bytes, once all of `input` was read. The answer is false if there are none.
    ///
    /// # Errors
    /// The body's own.
    pub(crate) async fn fill(&mut self) -> Result<bool, Error> {
        // Bytes of which nothing is left may still keep their frame, which is in no budget.
        self.input = Bytes::new();
        match self.body.frame().await {
            Some(Ok(frame)) => {
                // Trailers have no bytes, and nothing follows them.
                self.input = frame.into_data().unwrap_or_default();
                Ok(true)
            }
            Some(Err(status)) => Err(Error::receiving(&status, self.limit)),
            None => Ok(false),
        }
    }

    /// The length of a message that is announced.
    ///
    /// # Errors
    /// [`Error::RequestTooLarge`]; [`Error::Unreadable`] for a message that is marked as compressed.
    pub(crate) fn length(&self, announced: Announced) -> Result<usize, Error> {
        match announced.flag {
            0 => (),
            1 => {
                return Err(unreadable(
                    "protocol error: received message with compressed-flag but no grpc-encoding was specified",
                ));
            }
            flag => {
                return Err(unreadable(&format!(
                    "protocol error: received message with invalid compression flag: {flag} \
                     (valid flags are 0 and 1), while sending request"
                )));
            }
        }
        let (len, limit) = (announced.len(), self.limit);
        if len > limit { Err(Error::RequestTooLarge { limit }) } else { Ok(len) }
    }
}

/// The error of a request that ends within a message.
pub(crate) fn cut() -> Error {
    unreadable("Unexpected EOF decoding stream.")
}

fn unreadable(reason: &str) -> Error {
    Error::Unreadable { code: Code::Internal, reason: reason.to_owned() }
}
