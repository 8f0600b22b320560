//! Messages become texts in JSON.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use evenkeel_kernels::Checkpoint;
use prost::encoding::{WireType, decode_key, decode_varint};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use tonic::Code;

use super::{ANY, Growing};
use crate::error::Error;

/// The most bytes of a number's text.
const NUMBER: usize = 32;
/// The most bytes of a byte of a text: `\u0000`.
const ESCAPED: usize = 6;
/// The bytes that are encoded in base64 at a time: whole groups of three.
const PIECE: usize = 48 << 10;
/// The values after which the writer asks whether the text is still wanted.
const STEPS: usize = 4096;
/// The depth to which messages that name their type may be in one another. Decoders do not bound it, since such a message is bytes
/// to them.
const MOST_ANYS: usize = 16;

/// Adds the text of a message to `out`. The message is one that prost has encoded: the elements of a list lie together.
///
/// # Errors
/// Those of [`Growing::room`]; [`Error::Cancelled`]; [`Error::Unreadable`] for bytes that are no such message.
pub(crate) fn write(
    mut message: &[u8],
    descriptor: &MessageDescriptor,
    out: &mut Growing,
    checkpoint: &dyn Checkpoint,
) -> Result<(), Error> {
    Writer { out, checkpoint, steps: 0, anys: 0 }.message(&mut message, descriptor)
}

/// The message that is a number of seconds.
const DURATION: &str = "google.protobuf.Duration";

struct Writer<'a> {
    out: &'a mut Growing,
    checkpoint: &'a dyn Checkpoint,
    steps: usize,
    /// The messages that name their type and are open.
    anys: usize,
}

fn broken() -> Error {
    Error::Unreadable { code: Code::Internal, reason: "the answer is no message of its type".to_owned() }
}

impl Writer<'_> {
    fn text(&mut self, text: &str) -> Result<(), Error> {
        self.out.room(text.len())?.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn step(&mut self) -> Result<(), Error> {
        self.steps += 1;
        if self.steps.is_multiple_of(STEPS) { Ok(self.checkpoint.check()?) } else { Ok(()) }
    }

    /// Adds an object, to the end of `message`.
    fn message(&mut self, message: &mut &[u8], descriptor: &MessageDescriptor) -> Result<(), Error> {
        match descriptor.full_name() {
            DURATION => return self.duration(message),
            ANY => return self.any(message, descriptor),
            _ => (),
        }
        self.text("{")?;
        self.fields(message, descriptor, true)?;
        self.text("}")
    }

    /// Adds all fields of an object. `is_first`: it has no fields yet.
    fn fields(&mut self, message: &mut &[u8], descriptor: &MessageDescriptor, mut is_first: bool) -> Result<(), Error> {
        let mut open: Option<FieldDescriptor> = None;
        while !message.is_empty() {
            let (number, wire_type) = decode_key(message).map_err(|_| broken())?;
            let Some(field) = descriptor.get_field(number) else {
                skip(message, wire_type)?;
                continue;
            };
            let goes_on = open.as_ref().is_some_and(|open| open.number() == number);
            if goes_on {
                self.text(",")?;
            } else {
                self.close(open.take())?;
                self.text(if is_first { "\"" } else { ",\"" })?;
                is_first = false;
                self.text(field.json_name())?;
                self.text(if field.is_map() {
                    "\":{"
                } else if field.is_list() {
                    "\":["
                } else {
                    "\":"
                })?;
            }
            let kind = field.kind();
            if field.is_map() {
                self.entry(&mut delimited(message)?, &kind)?;
            } else if field.is_list() && wire_type == WireType::LengthDelimited && is_packable(&kind) {
                let mut packed = delimited(message)?;
                let mut begins = true;
                while !packed.is_empty() {
                    if !begins {
                        self.text(",")?;
                    }
                    begins = false;
                    self.value(&mut packed, &kind)?;
                }
            } else {
                self.value(message, &kind)?;
            }
            if field.is_list() || field.is_map() {
                open = Some(field);
            }
        }
        self.close(open)
    }

    /// Adds an object that names its type.
    fn any(&mut self, message: &mut &[u8], descriptor: &MessageDescriptor) -> Result<(), Error> {
        let (mut url, mut value) = (&[][..], &[][..]);
        while !message.is_empty() {
            match decode_key(message).map_err(|_| broken())? {
                (1, WireType::LengthDelimited) => url = delimited(message)?,
                (2, WireType::LengthDelimited) => value = delimited(message)?,
                (_, wire_type) => skip(message, wire_type)?,
            }
        }
        if url.is_empty() {
            return self.text("{}");
        }
        let name = url.rsplit(|&byte| byte == b'/').next().and_then(|name| std::str::from_utf8(name).ok());
        let message = name.and_then(|name| descriptor.parent_pool().get_message_by_name(name));
        let message = message.filter(|_| self.anys < MOST_ANYS).ok_or_else(broken)?;
        self.anys += 1;
        self.text("{\"@type\":")?;
        self.string(url)?;
        if [DURATION, ANY].contains(&message.full_name()) {
            self.text(",\"value\":")?;
            self.message(&mut value, &message)?;
        } else {
            self.fields(&mut value, &message, false)?;
        }
        self.anys -= 1;
        self.text("}")
    }

    /// Ends the list or map that is open.
    fn close(&mut self, open: Option<FieldDescriptor>) -> Result<(), Error> {
        match open {
            Some(field) => self.text(if field.is_map() { "}" } else { "]" }),
            None => Ok(()),
        }
    }

    /// Adds an entry of a map whose keys are texts.
    fn entry(&mut self, entry: &mut &[u8], kind: &Kind) -> Result<(), Error> {
        let Kind::Message(descriptor) = kind else { return Err(broken()) };
        let value_kind = descriptor.map_entry_value_field().kind();
        let (mut key, mut value) = (&b"\0"[..], &b"\0"[..]);
        while !entry.is_empty() {
            let (number, wire_type) = decode_key(entry).map_err(|_| broken())?;
            let begin = *entry;
            skip(entry, wire_type)?;
            *(if number == 1 { &mut key } else { &mut value }) = &begin[..begin.len() - entry.len()];
        }
        self.value(&mut key, &Kind::String)?;
        self.text(":")?;
        self.value(&mut value, &value_kind)
    }

    /// Adds a value.
    fn value(&mut self, bytes: &mut &[u8], kind: &Kind) -> Result<(), Error> {
        self.step()?;
        match kind {
            Kind::Double => self.double(f64::from_le_bytes(fixed(bytes)?)),
            Kind::Float => self.float(f32::from_le_bytes(fixed(bytes)?)),
            Kind::Fixed64 => self.quoted(u64::from_le_bytes(fixed(bytes)?)),
            Kind::Sfixed64 => self.quoted(i64::from_le_bytes(fixed(bytes)?)),
            Kind::Fixed32 => self.number(u32::from_le_bytes(fixed(bytes)?)),
            Kind::Sfixed32 => self.number(i32::from_le_bytes(fixed(bytes)?)),
            Kind::Int64 => self.quoted(varint(bytes)?.cast_signed()),
            Kind::Uint64 => self.quoted(varint(bytes)?),
            Kind::Sint64 => self.quoted(unzigzag(varint(bytes)?)),
            Kind::Int32 => self.number(varint(bytes)? as i32),
            Kind::Uint32 => self.number(varint(bytes)? as u32),
            Kind::Sint32 => self.number(unzigzag(varint(bytes)?)),
            Kind::Bool => {
                let value = varint(bytes)? != 0;
                self.text(if value { "true" } else { "false" })
            }
            Kind::Enum(of) => {
                let number = varint(bytes)? as i32;
                match of.get_value(number) {
                    Some(value) => {
                        self.text("\"")?;
                        self.text(value.name())?;
                        self.text("\"")
                    }
                    None => self.number(number),
                }
            }
            Kind::String => self.string(delimited(bytes)?),
            Kind::Bytes => self.base64(delimited(bytes)?),
            Kind::Message(descriptor) => self.message(&mut delimited(bytes)?, descriptor),
        }
    }

    fn string(&mut self, text: &[u8]) -> Result<(), Error> {
        let text = std::str::from_utf8(text).map_err(|_| broken())?;
        let room = self.out.room(ESCAPED * text.len() + 2)?;
        serde_json::to_writer(room, text).map_err(|_| broken())
    }

    fn number(&mut self, value: impl Into<i128>) -> Result<(), Error> {
        use std::io::Write as _;
        let room = self.out.room(NUMBER)?;
        write!(room, "{}", value.into()).map_err(|_| broken())
    }

    /// Adds a number of 64 bits, which has no place in a number of JSON.
    fn quoted(&mut self, value: impl Into<i128>) -> Result<(), Error> {
        self.text("\"")?;
        self.number(value)?;
        self.text("\"")
    }

    /// Adds the shortest text that is this number.
    fn double(&mut self, value: f64) -> Result<(), Error> {
        match name_of(value) {
            Some(name) => self.text(name),
            None => serde_json::to_writer(self.out.room(NUMBER)?, &value).map_err(|_| broken()),
        }
    }

    /// As [`double`](Self::double), among the numbers of float32.
    fn float(&mut self, value: f32) -> Result<(), Error> {
        match name_of(value.into()) {
            Some(name) => self.text(name),
            None => serde_json::to_writer(self.out.room(NUMBER)?, &value).map_err(|_| broken()),
        }
    }

    fn base64(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.text("\"")?;
        let len = bytes.len().div_ceil(3) * 4;
        let mut at = self.out.len();
        self.out.room(len + 1)?.resize(at + len, 0);
        for piece in bytes.chunks(PIECE) {
            at += STANDARD.encode_slice(piece, &mut self.out.added()[at..]).map_err(|_| broken())?;
            self.checkpoint.check()?;
        }
        self.text("\"")
    }

    /// Adds a duration in seconds: `"0.100s"`.
    fn duration(&mut self, message: &mut &[u8]) -> Result<(), Error> {
        let (mut seconds, mut nanos) = (0, 0);
        while !message.is_empty() {
            let (number, _) = decode_key(message).map_err(|_| broken())?;
            *(if number == 1 { &mut seconds } else { &mut nanos }) = varint(message)?.cast_signed();
        }
        let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
        let fraction = match nanos.unsigned_abs() {
            0 => String::new(),
            nanos if nanos % 1_000_000 == 0 => format!(".{:03}", nanos / 1_000_000),
            nanos if nanos % 1_000 == 0 => format!(".{:06}", nanos / 1_000),
            nanos => format!(".{nanos:09}"),
        };
        self.text(&format!("\"{sign}{}{fraction}s\"", seconds.unsigned_abs()))
    }
}

/// The text of a value that is no number in JSON.
fn name_of(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("\"NaN\"")
    } else if value == f64::INFINITY {
        Some("\"Infinity\"")
    } else if value == f64::NEG_INFINITY {
        Some("\"-Infinity\"")
    } else {
        None
    }
}

fn is_packable(kind: &Kind) -> bool {
    !matches!(kind, Kind::String | Kind::Bytes | Kind::Message(_))
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Error> {
    decode_varint(bytes).map_err(|_| broken())
}

fn fixed<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Error> {
    let (value, rest) = bytes.split_first_chunk().ok_or_else(broken)?;
    *bytes = rest;
    Ok(*value)
}

fn delimited<'b>(bytes: &mut &'b [u8]) -> Result<&'b [u8], Error> {
    let len = usize::try_from(varint(bytes)?).map_err(|_| broken())?;
    let (value, rest) = bytes.split_at_checked(len).ok_or_else(broken)?;
    *bytes = rest;
    Ok(value)
}

/// Passes over a value.
fn skip(bytes: &mut &[u8], wire_type: WireType) -> Result<(), Error> {
    match wire_type {
        WireType::Varint => varint(bytes).map(drop),
        WireType::SixtyFourBit => fixed::<8>(bytes).map(drop),
        WireType::ThirtyTwoBit => fixed::<4>(bytes).map(drop),
        WireType::LengthDelimited => delimited(bytes).map(drop),
        WireType::StartGroup | WireType::EndGroup => Err(broken()),
    }
}
