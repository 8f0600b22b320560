//! Reads a request from a file that `evenkeel payload`, or a person, has written.

use std::path::Path;

use bytes::{Buf as _, Bytes};
use prost_reflect::DynamicMessage;

use super::{
    Format, Payload,
    call::Call,
    json,
    requests::{LONGEST, request_of},
};
use crate::{
    cli::error::Error,
    read::{self, Failure},
};

/// Reads the messages of a call.
///
/// # Errors
/// The file cannot be read, or has something else.
pub(in crate::cli) fn read(call: Call, path: &Path, format: Format) -> Result<Payload, Error> {
    let content = read::up_to(LONGEST as u64, path).map_err(|failure| match failure {
        Failure::TooLarge(_) => Error::file(path, failure.to_string()),
        Failure::Io(_) | Failure::Late(_) | Failure::NotRegular => Error::file(path, format!("cannot read: {failure}")),
    })?;
    let request = request_of(call);
    let payload = match format {
        Format::Json | Format::JsonLines => {
            let messages = json::read(&request, &content)
                .map_err(|error| Error::file(path, format!("it is no {} in JSON: {error}", request.name())))?;
            Payload::of(call, messages)
        }
        Format::Binary => {
            let mut payload = Payload::of(call, vec![content.into()]);
            if payload.is_stream() {
                payload.messages = delimited(payload.messages.remove(0)).ok_or_else(|| {
                    Error::file(path, format!("it is no list of {}, each behind its length", request.name()))
                })?;
            }
            for message in &payload.messages {
                DynamicMessage::decode(request.clone(), message.clone())
                    .map_err(|error| Error::file(path, format!("it is no {}: {error}", request.name())))?;
            }
            payload
        }
    };
    match (payload.messages.len(), payload.is_stream()) {
        (1, _) | (2.., true) => Ok(payload),
        (count, _) => Err(Error::file(path, format!("there are {count} messages in it, and the call takes one"))),
    }
}

/// Messages behind their lengths.
fn delimited(mut bytes: Bytes) -> Option<Vec<Bytes>> {
    let mut messages = Vec::new();
    while bytes.has_remaining() {
        let len = usize::try_from(prost::encoding::decode_varint(&mut bytes).ok()?).ok()?;
        messages.push((len <= bytes.len()).then(|| bytes.split_to(len))?);
    }
    Some(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_behind_their_lengths_are_whole() {
        let bytes = |bytes: &'static [u8]| Bytes::from_static(bytes);
        assert_eq!(delimited(bytes(b"\x01a\x00\x02bc")), Some(vec![bytes(b"a"), bytes(b""), bytes(b"bc")]));
        assert_eq!(delimited(bytes(b"")), Some(Vec::new()));
        for cut in [&b"\x02a"[..], b"\x80", b"\x01a\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"] {
            assert_eq!(delimited(Bytes::from_static(cut)), None);
        }
    }
}
