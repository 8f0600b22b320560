//! Objects that name their type: `google.protobuf.Any`.

use std::fmt;

use prost::encoding::WireType;
use prost_reflect::{Kind, MessageDescriptor};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    super::scalar::{self, brief},
    Object, Reader,
};

/// The key of the type.
const TYPE: &str = "@type";

/// Reads an object whose first key is [`TYPE`], and whose other fields are those of a message of this type. An object may be very long,
/// so the fields before the type are not kept: all writers have the type first.
pub(super) fn read<'de, A: MapAccess<'de>>(
    reader: &mut Reader<'_>,
    any: &MessageDescriptor,
    mut map: A,
) -> Result<(), A::Error> {
    match map.next_key_seed(IsType)? {
        // A message of no type.
        None => return Ok(()),
        Some(true) => (),
        Some(false) => return Err(reader.wrong(format!("its first key must be {TYPE:?}"))),
    }
    let raw = map.next_value::<&RawValue>()?.get();
    let (Some(url), Some(value)) = (any.get_field(1), any.get_field(2)) else { return Err(A::Error::custom("")) };
    let name = match scalar::text(raw) {
        Ok(text) => text.rsplit('/').next().unwrap_or_default().to_owned(),
        Err(fault) => return Err(reader.fault(fault)),
    };
    let message = any.parent_pool().get_message_by_name(&name);
    let message = message.filter(|message| !message.full_name().starts_with("google.protobuf."));
    let Some(message) = message else {
        return Err(reader.wrong(format!("the server reads no message {} from JSON", brief(&name))));
    };
    reader.key(&url, WireType::LengthDelimited)?;
    reader.put(&Kind::String, raw)?;
    reader.key(&value, WireType::LengthDelimited)?;
    let begin = reader.out.len();
    Object { reader: &mut *reader, message: &message }.visit_map(map)?;
    reader.put_length(begin)
}

/// Whether a key is [`TYPE`].
struct IsType;

impl<'de> DeserializeSeed<'de> for IsType {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsType {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == TYPE)
    }
}
