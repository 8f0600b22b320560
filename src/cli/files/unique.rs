//! The check for names that stand twice in one JSON object: a parser would keep one of the two values, and lose the
//! other.

use std::{collections::HashSet, fmt};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::cli::text;

/// JSON in which no object has a name twice, whatever else it is.
struct Unique;

/// Refuses text that is not a JSON object, and JSON in which an object has a name twice.
pub(super) fn expect_unique(json: &[u8]) -> Result<(), serde_json::Error> {
    if !json.trim_ascii_start().starts_with(b"{") {
        return Err(serde_json::Error::custom("it is not a JSON object"));
    }
    serde_json::from_slice(json).map(|Unique| ())
}

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut object: M) -> Result<Self, M::Error> {
        let mut names = HashSet::new();
        while let Some(name) = object.next_key::<String>()? {
            object.next_value::<Self>()?;
            if let Some(twice) = names.replace(name) {
                return Err(M::Error::custom(format!("the name '{}' stands there twice", text::name(&twice))));
            }
        }
        Ok(self)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Self, S::Error> {
        while list.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E: Error>(self) -> Result<Self, E> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_stand_in_several_objects_and_once_in_each() {
        for json in [r#"{"a":{"a":[1,-2,0.5,"a",null,true]},"b":{"a":{}}}"#, "{}", r#"{"c":[{"a":1},{"a":1}]}"#] {
            expect_unique(json.as_bytes()).unwrap_or_else(|error| panic!("{json}: {error}"));
        }
        for json in [r#"{"a":1,"a":1}"#, r#"{"b":{"a":1,"c":{},"\u0061":2}}"#, r#"{"c":[[{"a":[],"a":{}}]]}"#] {
            let error = expect_unique(json.as_bytes()).expect_err(json).to_string();
            assert!(error.contains("'a' stands there twice"), "{json}: {error}");
        }
        assert!(expect_unique(b"{").is_err());
        for json in ["", "[]", "3", "null", "\"{\"", "\u{feff}{}"] {
            assert!(expect_unique(json.as_bytes()).is_err_and(|error| error.to_string() == "it is not a JSON object"));
        }
    }
}
