//! The messages of a call that streams them, of which one is in memory at a time.

use bytes::{Buf as _, Bytes};
use prost::Message;
use tokio::task::coop;
use tonic::{
    Status, Streaming,
    codec::{DecodeBuf, Decoder},
};

use super::Service;
use crate::{error::Error, grpc::Method};

/// The messages of a call.
pub(crate) enum Messages<M> {
    /// As bytes: those that become much when they are decoded are decoded where they are computed.
    Raw(Streaming<Bytes>),
    /// As tonic's codec has decoded them.
    Decoded(Streaming<M>),
}

/// Hands on messages as they are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RawDecoder;

impl Decoder for RawDecoder {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}

/// A message, before or after it is decoded.
pub(super) enum Arrived<M> {
    Raw(Bytes),
    Decoded(M),
}

impl<M: Message + Default> Messages<M> {
    /// `limit`: the largest message, in bytes.
    pub(super) async fn next(&mut self, limit: usize) -> Result<Option<Arrived<M>>, Error> {
        // Messages that are here already would hold up other calls for as long as there are more.
        coop::consume_budget().await;
        let message = match self {
            Self::Raw(messages) => messages.message().await.map(|message| message.map(Arrived::Raw)),
            Self::Decoded(messages) => messages.message().await.map(|message| message.map(Arrived::Decoded)),
        };
        message.map_err(|status| Error::receiving(&status, limit))
    }
}

impl<M: Message + Default> Arrived<M> {
    /// Whether it is to be decoded where it is computed.
    pub(super) fn is_heavy(&self, method: Method) -> bool {
        match self {
            Self::Raw(bytes) => Service::is_heavy(method, bytes),
            // It is done.
            Self::Decoded(_) => false,
        }
    }

    /// `limit`: the largest message, in bytes.
    pub(super) fn decode(self, limit: usize) -> Result<M, Error> {
        match self {
            Self::Raw(bytes) => {
                M::decode(bytes).map_err(|error| Error::receiving(&Status::internal(error.to_string()), limit))
            }
            Self::Decoded(message) => Ok(message),
        }
    }
}
