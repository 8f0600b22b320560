//! Writes a request in one of the formats.

use std::io::{self, Write};

use prost::encoding::encode_varint;

use super::{Format, Payload, json};

/// Writes the messages.
pub(super) fn write(payload: &Payload, format: Format, mut to: &mut dyn Write) -> io::Result<()> {
    let Payload { request, messages, .. } = payload;
    match format {
        Format::Binary => {
            for message in messages {
                if payload.is_stream() {
                    let mut length = Vec::new();
                    encode_varint(message.len() as u64, &mut length);
                    to.write_all(&length)?;
                }
                to.write_all(message)?;
            }
        }
        Format::Json if payload.is_stream() => {
            for (index, message) in messages.iter().enumerate() {
                to.write_all(if index == 0 { b"[" } else { b",\n" })?;
                json::write(request, message, &mut to)?;
            }
            to.write_all(b"]\n")?;
        }
        Format::Json | Format::JsonLines => {
            for message in messages {
                json::write(request, message, &mut to)?;
                to.write_all(b"\n")?;
            }
        }
    }
    Ok(())
}
