//! Messages as protobuf's JSON, as the server reads and writes it.

use std::{
    io::{self, Write},
    sync::Arc,
};

use bytes::Bytes;
use evenkeel_kernels::Uninterrupted;
use prost_reflect::MessageDescriptor;
use serde_json::{Deserializer, value::RawValue};

use crate::{
    budget::{Budget, Reservation},
    error::Error,
    json::{self, Growing},
};

/// Writes a message.
pub(super) fn write(request: &MessageDescriptor, message: &Bytes, mut to: impl Write) -> io::Result<()> {
    let mut text = Growing::uncounted();
    json::write(message, request, &mut text, &Uninterrupted).map_err(io::Error::other)?;
    to.write_all(text.as_ref())
}

/// Reads messages: one after another, or in an array.
///
/// # Errors
/// The text is no JSON, or one of its values is no such message.
pub(super) fn read(request: &MessageDescriptor, text: &[u8]) -> Result<Vec<Bytes>, String> {
    let mut messages = Vec::new();
    for value in Deserializer::from_slice(text).into_iter::<&RawValue>() {
        let value = value.map_err(|error| error.to_string())?.get();
        if value.starts_with('[') {
            let values: Vec<&RawValue> = serde_json::from_str(value).map_err(|error| error.to_string())?;
            for value in values {
                messages.push(message(request, value.get())?);
            }
        } else {
            messages.push(message(request, value)?);
        }
    }
    Ok(messages)
}

fn message(request: &MessageDescriptor, text: &str) -> Result<Bytes, String> {
    // A command has no budget: its file is in memory already.
    let reservation = Reservation::new(&Arc::default(), Budget::new(usize::MAX, 0));
    let mut message = Growing::uncounted();
    let read = json::read(text.as_bytes(), request, &mut message, usize::MAX, &reservation, &Uninterrupted);
    read.map_err(|error: Error| error.to_string())?;
    Ok(message.into_bytes())
}
