//! Finds the last field of a message whose end has not come yet.

use prost::encoding::{WireType, decode_key, decode_varint};

/// Where a field is in its message, in bytes from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where its key begins.
    pub key: usize,
    /// Where its content begins, after key and length.
    pub start: usize,
}

/// The most fields that are read before the last one, in some ten microseconds.
const MOST_FIELDS: usize = 4096;

/// The field `number` of a message of `len` bytes, of which `bytes` are the first, if the field ends the message. `None`: there
/// is no such field, its beginning has not come, or very many fields are before it.
pub fn last_field(bytes: &[u8], len: usize, number: u32) -> Option<Place> {
    let mut rest = bytes;
    for _ in 0..MOST_FIELDS {
        let key = bytes.len() - rest.len();
        let (tag, wire_type) = decode_key(&mut rest).ok()?;
        let skip = match wire_type {
            WireType::Varint => decode_varint(&mut rest).map(|_| 0).ok()?,
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            WireType::LengthDelimited => {
                let field_len = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
                let start = bytes.len() - rest.len();
                if tag == number && start.checked_add(field_len) == Some(len) {
                    return Some(Place { key, start });
                }
                field_len
            }
            WireType::StartGroup | WireType::EndGroup => return None,
        };
        rest = rest.get(skip..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_behind_very_many_is_not_found() {
        let message = |fields: usize| [&[0x08, 7].repeat(fields)[..], &[0x72, 1, 1]].concat();
        let few = message(MOST_FIELDS - 1);
        assert!(last_field(&few, few.len(), 14).is_some());
        let many = message(MOST_FIELDS);
        assert_eq!(last_field(&many, many.len(), 14), None);
    }

    #[test]
    fn only_a_field_that_ends_the_message_is_found() {
        // Field 1 is the number 300, field 2 has two bytes, field 14 three.
        let message = [0x08, 0xAC, 0x02, 0x12, 2, 8, 9, 0x72, 3, 1, 2, 3];
        assert_eq!(last_field(&message, message.len(), 14), Some(Place { key: 7, start: 9 }));
        // As soon as its length has come, and not before.
        assert_eq!(last_field(&message[..9], message.len(), 14), Some(Place { key: 7, start: 9 }));
        assert_eq!(last_field(&message[..8], message.len(), 14), None);
        for (len, number) in [(message.len(), 2), (message.len() + 1, 14), (message.len(), 13)] {
            assert_eq!(last_field(&message, len, number), None, "field {number} of {len} bytes");
        }
    }
}
