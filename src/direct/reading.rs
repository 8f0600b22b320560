//! A [`Reading`] reads the elements of a tensor, which are normalized as they come.

use bytes::Bytes;
use evenkeel_frames::Announced;
use evenkeel_proto::v1 as pb;

use super::{
    fault::{fault, rest},
    receive::Incoming,
};
use crate::{error::Error, service::Arriving};

/// A call whose elements are being read.
pub(super) struct Reading {
    pub(super) incoming: Incoming,
    pub(super) prefix: Announced,
    pub(super) arriving: Arriving,
    pub(super) limit: usize,
}

impl Reading {
    /// Reads the request to its end, and calls `give` with each part of the output when it is computed. Returns the answer without
    /// the elements.
    ///
    /// # Errors
    /// Those of the body, of a message that does not end where it should, and of the normalization.
    pub(super) async fn run(self, mut give: impl FnMut(Bytes)) -> Result<pb::NormalizeResponse, Error> {
        let Self { mut incoming, prefix, mut arriving, limit } = self;
        while arriving.missing() > 0 {
            let Some(mut frame) = incoming.take(arriving.missing()).await else {
                // tonic's decoder gives the status of a message that is not whole: a prefix and one byte are enough for that.
                return Err(fault(incoming.into_body([prefix.to_bytes(), Bytes::from_static(&[0])]), limit).await);
            };
            while !frame.is_empty() {
                arriving.take(&mut frame).await?.into_iter().for_each(&mut give);
            }
        }
        if !incoming.is_at_end() {
            // More data may follow, and tonic's decoder says what they mean after a message.
            rest(incoming.into_body([]), limit).await?;
        }
        arriving.finish().await
    }
}
