//! Single values: their texts in JSON, and their bytes in a message.

use std::{borrow::Cow, str::FromStr};

use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use prost::encoding::{WireType, encode_varint};
use prost_reflect::{EnumDescriptor, Kind};

use super::Growing;
use crate::{error::Error, shorten};

/// The most bytes of a number or of a varint.
pub(super) const MOST: usize = 10;
/// The characters that are decoded from base64 at a time: whole groups of four.
const PIECE: usize = 64 << 10;

/// Base64 may have padding, or bits after the last byte, or not: readers take all that others write.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

/// The reason why a value is refused.
pub(super) enum Fault {
    /// The value is wrong, in words.
    Wrong(Cow<'static, str>),
    /// There is no memory for it.
    Failed(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

fn wrong<T>(reason: &'static str) -> Result<T, Fault> {
    Err(Fault::Wrong(reason.into()))
}

/// How a value of this kind is on the wire; `None`: it is a message.
pub(super) fn wire_type(kind: &Kind) -> Option<WireType> {
    Some(match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => WireType::SixtyFourBit,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => WireType::ThirtyTwoBit,
        Kind::Int32
        | Kind::Int64
        | Kind::Uint32
        | Kind::Uint64
        | Kind::Sint32
        | Kind::Sint64
        | Kind::Bool
        | Kind::Enum(_) => WireType::Varint,
        Kind::String | Kind::Bytes => WireType::LengthDelimited,
        Kind::Message(_) => return None,
    })
}

/// Adds a varint.
pub(super) fn put_varint(out: &mut Growing, value: u64) -> Result<(), Error> {
    encode_varint(value, out.room(MOST)?);
    Ok(())
}

/// Adds a value to a message: `raw` is its text in JSON, which is valid by itself.
///
/// # Errors
/// A value of another type, or beyond the type's range; those of [`Growing::room`].
pub(super) fn put(kind: &Kind, raw: &str, out: &mut Growing) -> Result<(), Fault> {
    match kind {
        Kind::Double => out.room(8)?.extend(double(raw)?.to_le_bytes()),
        Kind::Float => out.room(4)?.extend(float(raw)?.to_le_bytes()),
        Kind::Fixed64 => out.room(8)?.extend(integer::<u64>(raw)?.to_le_bytes()),
        Kind::Sfixed64 => out.room(8)?.extend(integer::<i64>(raw)?.to_le_bytes()),
        Kind::Fixed32 => out.room(4)?.extend(integer::<u32>(raw)?.to_le_bytes()),
        Kind::Sfixed32 => out.room(4)?.extend(integer::<i32>(raw)?.to_le_bytes()),
        // Negative numbers of 32 bits have the bits of 64 on the wire.
        Kind::Int32 => put_varint(out, i64::from(integer::<i32>(raw)?).cast_unsigned())?,
        Kind::Int64 => put_varint(out, integer::<i64>(raw)?.cast_unsigned())?,
        Kind::Uint32 => put_varint(out, integer::<u32>(raw)?.into())?,
        Kind::Uint64 => put_varint(out, integer::<u64>(raw)?)?,
        Kind::Sint32 => put_varint(out, zigzag(integer::<i32>(raw)?.into()))?,
        Kind::Sint64 => put_varint(out, zigzag(integer::<i64>(raw)?))?,
        Kind::Bool => match raw {
            "true" => put_varint(out, 1)?,
            "false" => put_varint(out, 0)?,
            _ => return wrong("expected true or false"),
        },
        Kind::Enum(of) => put_varint(out, i64::from(number_of(of, raw)?).cast_unsigned())?,
        Kind::String => {
            let text = text(raw)?;
            put_varint(out, text.len() as u64)?;
            out.room(text.len())?.extend_from_slice(text.as_bytes());
        }
        Kind::Bytes => put_base64(raw, out)?,
        Kind::Message(_) => return wrong("expected an object"),
    }
    Ok(())
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The text of a string.
pub(super) fn text(raw: &str) -> Result<Cow<'_, str>, Fault> {
    match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Ok(plain.into()),
        Some(_) => serde_json::from_str::<String>(raw)
            .map(Into::into)
            .map_err(|_| Fault::Wrong("the text has an escape that stands for no character".into())),
        None => wrong("expected a text"),
    }
}

/// The text of a number, which may be a number or a string.
fn digits<'a>(raw: &'a str, expected: &'static str) -> Result<Cow<'a, str>, Fault> {
    let text = if raw.starts_with('"') { text(raw)? } else { raw.into() };
    let may_be = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    let is_number =
        text.starts_with(|first: char| first.is_ascii_digit() || first == '-') && text.bytes().all(|b| may_be(&b));
    if is_number { Ok(text) } else { wrong(expected) }
}

/// The values of floating-point types that are no numbers in JSON.
fn special(raw: &str) -> Option<f64> {
    match raw {
        "\"NaN\"" => Some(f64::NAN),
        "\"Infinity\"" => Some(f64::INFINITY),
        "\"-Infinity\"" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

const NUMBER: &str = "expected a number, \"NaN\", \"Infinity\" or \"-Infinity\"";

fn double(raw: &str) -> Result<f64, Fault> {
    if let Some(special) = special(raw) {
        return Ok(special);
    }
    match digits(raw, NUMBER)?.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => wrong("the number is beyond the largest float64"),
        Err(_) => wrong(NUMBER),
    }
}

/// A float32, rounded from the decimal number itself and not from a float64 between.
fn float(raw: &str) -> Result<f32, Fault> {
    if let Some(special) = special(raw) {
        return Ok(special as f32);
    }
    match digits(raw, NUMBER)?.parse::<f32>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => wrong("the number is beyond the largest float32"),
        Err(_) => wrong(NUMBER),
    }
}

/// A whole number, which may be written with a fraction of 0 or an exponent. It is exact in whatever way it is written.
fn integer<T: FromStr + TryFrom<i128>>(raw: &str) -> Result<T, Fault> {
    let digits = digits(raw, "expected a whole number")?;
    if let Ok(value) = digits.parse::<T>() {
        return Ok(value);
    }
    match whole(&digits).map(T::try_from) {
        Some(Ok(value)) => Ok(value),
        Some(Err(_)) => wrong("the number is beyond the range of its type"),
        None => wrong("expected a whole number in the range of its type"),
    }
}

/// The value of a decimal number such as `-12.50e1`, if it is whole and has at most 38 digits.
fn whole(number: &str) -> Option<i128> {
    let (number, exponent) = match number.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i64>().ok()?),
        None => (number, 0),
    };
    let (sign, number) = number.strip_prefix('-').map_or((1, number), |number| (-1, number));
    let (before, after) = number.split_once('.').unwrap_or((number, ""));
    let after = after.trim_end_matches('0');
    let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if before.is_empty() || !are_digits(before) || !are_digits(after) {
        return None;
    }
    // The number is `before` and `after` as one whole number, times ten to the power of `shift`.
    let shift = exponent.checked_sub(after.len().try_into().ok()?)?;
    let digits = before.bytes().chain(after.bytes()).skip_while(|&digit| digit == b'0');
    let significant = digits.clone().count();
    if significant == 0 {
        return Some(0);
    }
    // Zeros at its end may go behind the point.
    let dropped = usize::try_from(shift.min(0).unsigned_abs()).ok()?;
    let kept = significant.checked_sub(dropped)?;
    if kept > 38 || digits.clone().skip(kept).any(|digit| digit != b'0') {
        return None;
    }
    let value = digits.take(kept).fold(0, |value, digit| 10 * value + i128::from(digit - b'0'));
    let power = 10_i128.checked_pow(u32::try_from(shift.max(0)).ok()?)?;
    value.checked_mul(power).map(|value| sign * value)
}

/// The number of a value of an enum, which is named or numbered.
fn number_of(of: &EnumDescriptor, raw: &str) -> Result<i32, Fault> {
    if !raw.starts_with('"') {
        return integer(raw);
    }
    let name = text(raw)?;
    match of.get_value_by_name(&name) {
        Some(value) => Ok(value.number()),
        None => Err(Fault::Wrong(format!("{} has no value {}", of.name(), brief(&name)).into())),
    }
}

/// A name that a client has sent, in quotes and no longer than can be read.
pub(super) fn brief(name: &str) -> String {
    match shorten::ends(name, 32) {
        Some((beginning, end)) => format!("{:?}", format!("{beginning}…{end}")),
        None => format!("{name:?}"),
    }
}

/// Adds the bytes of a text in base64, in the standard alphabet or that for URLs.
fn put_base64(raw: &str, out: &mut Growing) -> Result<(), Fault> {
    let text = text(raw)?;
    let text = text.trim_end_matches('=').as_bytes();
    let alphabet = if text.iter().any(|byte| b"-_".contains(byte)) { &URL_SAFE } else { &STANDARD };
    let engine = GeneralPurpose::new(alphabet, LENIENT);
    // Four characters are three bytes; two or three at the end are one or two.
    let len = text.len() / 4 * 3 + (text.len() % 4) * 3 / 4;
    put_varint(out, len as u64)?;
    let mut at = out.len();
    out.room(len)?.resize(at + len, 0);
    for piece in text.chunks(PIECE) {
        match engine.decode_slice(piece, &mut out.added()[at..]) {
            Ok(decoded) => at += decoded,
            Err(_) => return wrong("the text is no base64"),
        }
    }
    if at == out.len() { Ok(()) } else { wrong("the text is no base64") }
}
