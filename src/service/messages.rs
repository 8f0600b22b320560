//! The messages of a call that streams them, of which one is in memory at a time, or the only one of a unary call.

use bytes::Bytes;
use prost::Message;
use tokio::task::coop;
use tonic::Streaming;

use super::{Separated, Service};
use crate::{error::Error, grpc::Method};

/// The messages of a call.
pub(crate) enum Messages<M> {
    /// The messages are bytes. Messages that take long to decode are decoded on the pool.
    Raw(Separated),
    /// tonic's codec has decoded the messages.
    Decoded(Streaming<M>),
    /// The message of a unary call, until it is taken.
    One(Option<Box<Arrived<M>>>),
}

/// A message, before or after it is decoded.
pub(crate) enum Arrived<M> {
    Raw(Bytes),
    Decoded(M),
}

impl<M: Message + Default> Messages<M> {
    /// The message of a unary call, as bytes.
    pub(crate) fn one(message: Bytes) -> Self {
        Self::One(Some(Box::new(Arrived::Raw(message))))
    }

    /// The message of a unary call, which tonic's codec has decoded.
    pub(super) fn one_decoded(message: M) -> Self {
        Self::One(Some(Box::new(Arrived::Decoded(message))))
    }

    /// Waits for the next message. The answer is `None` after the last one. `limit` is the length of the longest message, in bytes.
    ///
    /// # Errors
    /// Those of [`Separated::next`].
    pub(super) async fn next(&mut self, limit: usize) -> Result<Option<Arrived<M>>, Error> {
        match self {
            Self::Raw(messages) => Ok(messages.next().await?.map(Arrived::Raw)),
            Self::Decoded(messages) => {
                // Many messages that are here already would hold up other calls, since none of them has to be waited for.
                coop::consume_budget().await;
                let message = messages.message().await.map_err(|status| Error::receiving(&status, limit))?;
                Ok(message.map(Arrived::Decoded))
            }
            Self::One(message) => Ok(message.take().map(|message| *message)),
        }
    }
}

impl<M: Message + Default> Arrived<M> {
    /// Whether the message takes so long to decode that it is decoded on the pool.
    pub(super) fn is_heavy(&self, method: Method) -> bool {
        match self {
            Self::Raw(bytes) => Service::is_heavy(method, bytes),
            // It is decoded already.
            Self::Decoded(_) => false,
        }
    }

    /// Decodes the message.
    ///
    /// # Errors
    /// [`Error::Unreadable`], if the bytes are no message.
    pub(super) fn decode(self) -> Result<M, Error> {
        match self {
            Self::Raw(bytes) => M::decode(bytes).map_err(|error| Error::undecodable(&error)),
            Self::Decoded(message) => Ok(message),
        }
    }
}
