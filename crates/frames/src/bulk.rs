//! Messages with one long field.

use bytes::Bytes;
use prost::Message;

/// A message whose last field is its bulk: bytes that are sent and received as they are.
pub trait Bulk: Message {
    /// The number of that field, the highest of the message.
    const DATA: u32;

    /// Takes the bytes out of the message.
    fn take_data(&mut self) -> Bytes;
}
