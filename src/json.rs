//! Messages as JSON, by protobuf's mapping and by the descriptors that are compiled in.
//!
//! A text becomes the message as it is on the wire, and the reverse, without a tree of values between: the elements of a list
//! would take sixty bytes there for as few as two bytes of text. All memory that grows with a text or a message is reserved
//! before it is allocated. Each number is rounded once, from its text, so that a float32 has the bits of its decimal number. What
//! protobuf's mapping leaves to its readers is refused: fields that no message has, and fields that come twice.

mod growing;
mod path;
mod read;
mod scalar;
mod schemas;
mod trial;
mod write;

pub use self::trial::JsonTrial;
pub(crate) use self::{growing::Growing, read::read, schemas::Schemas, write::write};

/// The message of a type that it names.
const ANY: &str = "google.protobuf.Any";

#[cfg(test)]
mod tests;
