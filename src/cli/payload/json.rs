//! Messages as protobuf's JSON.

use std::io::{self, Write};

use bytes::Bytes;
use prost_reflect::{DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::{Deserializer, Serializer, Value};

/// Writes a message.
pub(super) fn write(request: &MessageDescriptor, message: &Bytes, to: impl Write) -> io::Result<()> {
    let message = DynamicMessage::decode(request.clone(), message.clone()).map_err(io::Error::other)?;
    message.serialize_with_options(&mut Serializer::new(to), &SerializeOptions::new()).map_err(io::Error::other)
}

/// Reads messages: one after another, or in an array.
pub(super) fn read(request: &MessageDescriptor, text: &[u8]) -> Result<Vec<Bytes>, serde_json::Error> {
    let mut messages = Vec::new();
    for value in Deserializer::from_slice(text).into_iter::<Value>() {
        let values = match value? {
            Value::Array(values) => values,
            value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
                vec![value]
            }
        };
        for value in values {
            messages.push(message(request, value)?);
        }
    }
    Ok(messages)
}

fn message(request: &MessageDescriptor, value: Value) -> Result<Bytes, serde_json::Error> {
    let message = DynamicMessage::deserialize(request.clone(), value)?;
    Ok(prost::Message::encode_to_vec(&message).into())
}
