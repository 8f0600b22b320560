//! The parameters of a request, by their names in the contract.

use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value,
};

use crate::cli::{error::Error, text};

const FLAG: &str = "--set";

/// A request with these parameters, and otherwise without fields. `needed`: values of parameters that are not set.
pub(super) fn with(
    request: MessageDescriptor,
    set: &[String],
    needed: &[(&str, &str)],
) -> Result<DynamicMessage, Error> {
    let mut message = DynamicMessage::new(request.clone());
    let mut seen: Vec<&str> = Vec::new();
    for text in set {
        let (name, value) = text.split_once('=').ok_or_else(|| refuse(text, "is not NAME=VALUE"))?;
        if seen.contains(&name) {
            return Err(refuse(name, "is given twice"));
        }
        seen.push(name);
        apply(&mut message, name, value)?;
    }
    for (name, value) in needed.iter().filter(|(name, _)| !seen.contains(name)) {
        apply(&mut message, name, value)?;
    }
    Ok(message)
}

fn apply(message: &mut DynamicMessage, name: &str, value: &str) -> Result<(), Error> {
    let descriptor = message.descriptor();
    let parameters = || descriptor.fields().filter(is_parameter);
    let field = parameters().find(|field| field.name() == name).ok_or_else(|| {
        let names: Vec<String> = parameters().map(|field| field.name().to_owned()).collect();
        let request = descriptor.name();
        refuse(
            name,
            &if names.is_empty() {
                format!("is no parameter of {request}, which has none")
            } else {
                format!("is no parameter of {request}, which has {}", names.join(", "))
            },
        )
    })?;
    let parsed = if field.is_list() {
        value.split(',').map(|value| parse(&field, value.trim())).collect::<Option<Vec<_>>>().map(Value::List)
    } else {
        parse(&field, value)
    };
    let parsed = parsed.ok_or_else(|| refuse(name, &format!("'{}' is not {}", text::name(value), kind(&field))))?;
    message.set_field(&field, parsed);
    Ok(())
}

/// Tensors and statistics are no parameters.
fn is_parameter(field: &FieldDescriptor) -> bool {
    !matches!(field.kind(), Kind::Message(_) | Kind::Bytes)
}

fn parse(field: &FieldDescriptor, text: &str) -> Option<Value> {
    match field.kind() {
        Kind::Double => text.parse().ok().map(Value::F64),
        Kind::Float => text.parse().ok().map(Value::F32),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => text.parse().ok().map(Value::I32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => text.parse().ok().map(Value::I64),
        Kind::Uint32 | Kind::Fixed32 => text.parse().ok().map(Value::U32),
        Kind::Uint64 | Kind::Fixed64 => text.parse().ok().map(Value::U64),
        Kind::Bool => text.parse().ok().map(Value::Bool),
        Kind::String => Some(Value::String(text.to_owned())),
        Kind::Enum(of) => names(&of)
            .into_iter()
            .find(|(short, long, _)| {
                let given = text.replace('-', "_");
                given.eq_ignore_ascii_case(short) || given.eq_ignore_ascii_case(long)
            })
            .map(|(_, _, number)| Value::EnumNumber(number)),
        Kind::Bytes | Kind::Message(_) => None,
    }
}

/// The values of an enum: without and with its prefix, and as numbers.
fn names(of: &EnumDescriptor) -> Vec<(String, String, i32)> {
    // The value 0 of each is its prefix and UNSPECIFIED.
    let zero = of.default_value().name().to_owned();
    let prefix = zero.strip_suffix("UNSPECIFIED").unwrap_or_default().to_owned();
    let short = |name: &str| name.strip_prefix(&*prefix).unwrap_or(name).to_lowercase();
    of.values().map(|value| (short(value.name()), value.name().to_owned(), value.number())).collect()
}

/// What a field takes, in words.
fn kind(field: &FieldDescriptor) -> String {
    let one = match field.kind() {
        Kind::Double | Kind::Float => "a number".to_owned(),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            "a whole number".to_owned()
        }
        Kind::Uint32 | Kind::Fixed32 | Kind::Uint64 | Kind::Fixed64 => "a whole number from 0 on".to_owned(),
        Kind::Bool => "true or false".to_owned(),
        Kind::Enum(of) => {
            let names: Vec<String> = names(&of).into_iter().map(|(short, _, _)| short).collect();
            format!("one of {}", names.join(", "))
        }
        Kind::String | Kind::Bytes | Kind::Message(_) => "a text".to_owned(),
    };
    if field.is_list() { format!("a list of {one}") } else { one }
}

fn refuse(name: &str, reason: &str) -> Error {
    Error::usage(FLAG, format!("'{}' {reason}", text::name(name)))
}
