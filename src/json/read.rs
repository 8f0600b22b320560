//! Texts in JSON become messages.

mod any;

use std::{fmt, sync::Arc};

use evenkeel_kernels::Checkpoint;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde::de::{Deserialize as _, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tonic::Code;

use super::{
    ANY, Growing,
    path::{Path, Step},
    scalar::{self, Fault, MOST, brief},
};
use crate::{budget::Reservation, error::Error};

/// The values after which the reader asks whether the message is still wanted.
const STEPS: usize = 4096;

/// The memory that the parser takes for each byte of a text with escapes: the unescaped text, in memory that doubles when it is
/// full, and another copy of it.
const PER_ESCAPED_BYTE: usize = 4;
/// The memory that the parser takes for each list or object that is open, in memory that doubles when it is full.
const PER_LEVEL: usize = 3;

/// Adds the message that `text` is to `out`. The message may have `limit` bytes.
///
/// # Errors
/// [`Error::Invalid`] or [`Error::Unreadable`] with the code INVALID_ARGUMENT for a text that is not such a message;
/// [`Error::RequestTooLarge`]; those of [`Growing::room`]; [`Error::Cancelled`].
pub(crate) fn read(
    text: &[u8],
    message: &MessageDescriptor,
    out: &mut Growing,
    limit: usize,
    reservation: &Arc<Reservation>,
    checkpoint: &dyn Checkpoint,
) -> Result<(), Error> {
    let levels = text.iter().filter(|byte| b"[{".contains(byte)).count();
    let escaped = if text.contains(&b'\\') { text.len() } else { 0 };
    let _scratch = reservation.reserve_with_scratch(0, PER_LEVEL * levels + PER_ESCAPED_BYTE * escaped)?;
    let most = out.len().saturating_add(limit);
    let mut reader = Reader { out, most, limit, checkpoint, path: Path::default(), failure: None, steps: 0 };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let read = Object { reader: &mut reader, message }.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    let Err(error) = read else { return Ok(()) };
    Err(match reader.failure {
        Some(failure) => failure,
        None => {
            let place = format!("at line {}, column {}", error.line(), error.column());
            let reason = if error.is_data() {
                // Its own words would repeat the value.
                format!("the value has another type than the field, {place}")
            } else {
                format!("the text is no JSON: {error}")
            };
            refused(&reader.path, reason)
        }
    })
}

/// The error of a text that is wrong at this place.
fn refused(path: &Path, reason: String) -> Error {
    if path.is_empty() {
        Error::Unreadable { code: Code::InvalidArgument, reason }
    } else {
        Error::invalid(path.to_string(), reason)
    }
}

/// The state of reading a text.
struct Reader<'a> {
    out: &'a mut Growing,
    /// The most bytes of `out`.
    most: usize,
    limit: usize,
    checkpoint: &'a dyn Checkpoint,
    /// The value that is being read. It stays where an error is found.
    path: Path,
    /// The error of this reader; `None`: an error is the parser's.
    failure: Option<Error>,
    steps: usize,
}

impl Reader<'_> {
    /// Ends the reading with this error.
    fn fail<E: serde::de::Error>(&mut self, error: Error) -> E {
        self.failure = Some(error);
        E::custom("")
    }

    fn wrong<E: serde::de::Error>(&mut self, reason: impl Into<String>) -> E {
        let error = refused(&self.path, reason.into());
        self.fail(error)
    }

    /// Called after each value.
    fn step<E: serde::de::Error>(&mut self) -> Result<(), E> {
        if self.out.len() > self.most {
            return Err(self.fail(Error::RequestTooLarge { limit: self.limit }));
        }
        self.steps += 1;
        if self.steps.is_multiple_of(STEPS) && self.checkpoint.check().is_err() {
            return Err(self.fail(Error::Cancelled));
        }
        Ok(())
    }

    fn ok<T, E: serde::de::Error>(&mut self, result: Result<T, Error>) -> Result<T, E> {
        result.map_err(|error| self.fail(error))
    }

    /// Adds the key of a field.
    fn key<E: serde::de::Error>(&mut self, field: &FieldDescriptor, wire_type: WireType) -> Result<(), E> {
        let key = self.out.room(MOST).map(|bytes| encode_key(field.number(), wire_type, bytes));
        self.ok(key)
    }

    /// Adds a single value.
    fn put<E: serde::de::Error>(&mut self, kind: &Kind, raw: &str) -> Result<(), E> {
        match scalar::put(kind, raw, self.out) {
            Ok(()) => self.step(),
            Err(fault) => Err(self.fault(fault)),
        }
    }

    /// Ends the reading with the fault of a value.
    fn fault<E: serde::de::Error>(&mut self, fault: Fault) -> E {
        match fault {
            Fault::Failed(error) => self.fail(error),
            Fault::Wrong(reason) => self.wrong(reason),
        }
    }

    /// Puts the length of the bytes from `begin` on in front of them.
    fn put_length<E: serde::de::Error>(&mut self, begin: usize) -> Result<(), E> {
        let len = self.out.len() - begin;
        let prefix = encoded_len_varint(len as u64);
        let moved = self.out.room(prefix).map(|bytes| {
            bytes.resize(begin + len + prefix, 0);
            bytes.copy_within(begin..begin + len, begin + prefix);
            encode_varint(len as u64, &mut &mut bytes[begin..begin + prefix]);
        });
        self.ok(moved)
    }
}

/// An object, which is this message.
struct Object<'r, 'a> {
    reader: &'r mut Reader<'a>,
    message: &'r MessageDescriptor,
}

impl<'de> DeserializeSeed<'de> for Object<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // The parser's error of a text in place of an object would repeat the text, which the visitor's does not.
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Object<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        Err(self.reader.wrong("expected an object"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { reader, message } = self;
        if message.full_name() == ANY {
            return any::read(reader, message, map);
        }
        if message.full_name().starts_with("google.protobuf.") {
            return Err(reader.wrong("the server reads no such message from JSON"));
        }
        // Each field that has come, and whether it is set: null leaves a field as it is.
        let mut seen = Vec::<(FieldDescriptor, bool)>::new();
        while let Some(named) = map.next_key_seed(Name(message))? {
            let field = match named {
                Ok(field) => field,
                Err(unknown) => {
                    let reason = format!("{} has no such field", message.name());
                    let error = Error::invalid(reader.path.to(&unknown), reason);
                    return Err(reader.fail(error));
                }
            };
            reader.path.push(Step::Field(field.clone()));
            if seen.iter().any(|(other, _)| other.number() == field.number()) {
                return Err(reader.wrong("comes a second time"));
            }
            let is_set = map.next_value_seed(Value { reader: &mut *reader, field: &field })?;
            let beside = seen.iter().find(|(other, other_is_set)| {
                let both = field.containing_oneof().zip(other.containing_oneof());
                is_set && *other_is_set && both.is_some_and(|(oneof, of_other)| oneof == of_other)
            });
            if let Some((other, _)) = beside {
                return Err(reader.wrong(format!("is sent beside {}; only one of them may be", other.name())));
            }
            seen.push((field, is_set));
            reader.path.pop();
        }
        Ok(())
    }
}

/// The name of a field of this message. Becomes the field, or the name shortened if the message has no such field.
struct Name<'r>(&'r MessageDescriptor);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Result<FieldDescriptor, String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Result<FieldDescriptor, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        let field = self.0.get_field_by_json_name(name).or_else(|| self.0.get_field_by_name(name));
        Ok(field.ok_or_else(|| {
            let is_plain = name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if is_plain && !name.is_empty() { name.to_owned() } else { brief(name) }
        }))
    }
}

/// The value of this field. Becomes whether the field is set.
struct Value<'r, 'a> {
    reader: &'r mut Reader<'a>,
    field: &'r FieldDescriptor,
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        let Self { reader, field } = self;
        let kind = field.kind();
        match scalar::wire_type(&kind).filter(|_| !field.is_list()) {
            None => deserializer.deserialize_any(Value { reader, field }),
            Some(wire_type) => {
                let raw = <&RawValue>::deserialize(deserializer)?.get();
                if raw == "null" {
                    return Ok(false);
                }
                reader.key(field, wire_type)?;
                reader.put(&kind, raw).map(|()| true)
            }
        }
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.field.is_list() { "a list" } else { "an object" })
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<bool, E> {
        let expected = if self.field.is_list() { "expected a list" } else { "expected an object" };
        Err(self.reader.wrong(expected))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<bool, A::Error> {
        let Self { reader, field } = self;
        if field.is_list() {
            return Err(reader.wrong("expected a list"));
        }
        match field.kind() {
            Kind::Message(message) if !field.is_map() => {
                nested(reader, field, |reader| Object { reader, message: &message }.visit_map(map)).map(|()| true)
            }
            Kind::Message(_) => Err(reader.wrong("the server reads no maps")),
            // Only messages are read as objects.
            Kind::Double
            | Kind::Float
            | Kind::Int32
            | Kind::Int64
            | Kind::Uint32
            | Kind::Uint64
            | Kind::Sint32
            | Kind::Sint64
            | Kind::Fixed32
            | Kind::Fixed64
            | Kind::Sfixed32
            | Kind::Sfixed64
            | Kind::Bool
            | Kind::String
            | Kind::Bytes
            | Kind::Enum(_) => Err(reader.wrong("expected a single value")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let Self { reader, field } = self;
        if !field.is_list() {
            return Err(reader.wrong("expected an object"));
        }
        let kind = field.kind();
        reader.path.push(Step::Index(0));
        if field.is_packed() {
            let begin = reader.out.len();
            reader.key(field, WireType::LengthDelimited)?;
            let elements = reader.out.len();
            while list.next_element_seed(Element { reader: &mut *reader, field, kind: &kind })?.is_some() {
                reader.path.advance();
            }
            if reader.out.len() == elements {
                reader.out.truncate(begin);
            } else {
                reader.put_length(elements)?;
            }
        } else {
            while list.next_element_seed(Element { reader: &mut *reader, field, kind: &kind })?.is_some() {
                reader.path.advance();
            }
        }
        reader.path.pop();
        Ok(true)
    }
}

/// An element of a list, which is this field.
struct Element<'r, 'a> {
    reader: &'r mut Reader<'a>,
    field: &'r FieldDescriptor,
    kind: &'r Kind,
}

impl<'de> DeserializeSeed<'de> for Element<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self { reader, field, kind } = self;
        if let Kind::Message(message) = kind {
            return nested(reader, field, |reader| Object { reader, message }.deserialize(deserializer));
        }
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        if !field.is_packed()
            && let Some(wire_type) = scalar::wire_type(kind)
        {
            reader.key(field, wire_type)?;
        }
        reader.put(kind, raw)
    }
}

/// Adds a message within this field, which `read` reads.
fn nested<E: serde::de::Error>(
    reader: &mut Reader<'_>,
    field: &FieldDescriptor,
    read: impl FnOnce(&mut Reader<'_>) -> Result<(), E>,
) -> Result<(), E> {
    reader.key(field, WireType::LengthDelimited)?;
    let begin = reader.out.len();
    read(reader)?;
    reader.put_length(begin)?;
    reader.step()
}
