//! The header of a `.safetensors` file, parsed in one pass. The crate of the format's authors first parses a header
//! into a tree that takes 32 bytes for every number, and a header may have 50 million numbers.

use std::{collections::HashMap, fmt};

use safetensors::{Dtype, tensor::TensorInfo};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{super::MAX_RANK, METADATA};

/// The content of a header.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) metadata: Option<HashMap<String, String>>,
    /// In the header's order.
    pub(super) tensors: Vec<(String, TensorInfo)>,
    /// The first tensor of more dimensions than any array has, and their number. `tensors` has only the
    /// first of its dimensions.
    pub(super) too_many: Option<(String, usize)>,
}

/// The entry of a tensor in a header; the fields have the format's names.
#[derive(serde::Deserialize)]
struct Info {
    dtype: Dtype,
    shape: Shape,
    data_offsets: (usize, usize),
}

/// The first [`MAX_RANK`] dimensions, and the number of all.
struct Shape {
    dims: Vec<usize>,
    rank: usize,
}

impl<'de> Deserialize<'de> for Head {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(HeadVisitor)
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_seq(ShapeVisitor)
    }
}

struct HeadVisitor;

impl<'de> Visitor<'de> for HeadVisitor {
    type Value = Head;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tensors by name")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut object: M) -> Result<Head, M::Error> {
        let mut head = Head::default();
        while let Some(name) = object.next_key::<String>()? {
            if name == METADATA {
                head.metadata = object.next_value()?;
                continue;
            }
            let Info { dtype, shape: Shape { dims, rank }, data_offsets } = object.next_value()?;
            if rank > MAX_RANK && head.too_many.is_none() {
                head.too_many = Some((name.clone(), rank));
            }
            head.tensors.push((name, TensorInfo { dtype, shape: dims, data_offsets }));
        }
        Ok(head)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a shape")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Shape, S::Error> {
        let (mut dims, mut rank) = (Vec::new(), 0);
        while let Some(dim) = list.next_element()? {
            if rank < MAX_RANK {
                dims.push(dim);
            }
            rank += 1;
        }
        Ok(Shape { dims, rank })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Head, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn a_shape_is_not_kept_beyond_the_largest_rank() {
        let of_rank = |rank: usize| {
            let dims = vec!["1"; rank].join(",");
            read(&format!(r#"{{"a":{{"dtype":"F32","shape":[{dims}],"data_offsets":[0,4]}}}}"#)).expect("a header")
        };
        for rank in [0, 1, MAX_RANK] {
            let head = of_rank(rank);
            assert_eq!((head.tensors[0].1.shape.len(), head.too_many), (rank, None));
        }
        for rank in [MAX_RANK + 1, 100_000] {
            let head = of_rank(rank);
            assert!(head.tensors[0].1.shape.capacity() <= 2 * MAX_RANK);
            assert_eq!(head.too_many, Some(("a".to_owned(), rank)));
        }
    }

    #[test]
    fn what_the_format_does_not_know_is_passed_over_and_what_is_wrong_is_refused() {
        let head = read(
            r#"{"b":{"data_offsets":[4,6],"more":[{}],"shape":[1],"dtype":"F16"},"__metadata__":{"x":"y"},
                "a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#,
        )
        .expect("a header");
        let names: Vec<&str> = head.tensors.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["b", "a"]);
        assert_eq!(head.metadata, Some(HashMap::from([("x".to_owned(), "y".to_owned())])));
        assert_eq!(read(r#"{"__metadata__":null}"#).expect("a header").metadata, None);
        for json in [
            "[]",
            r#"{"__metadata__":{"x":1}}"#,
            r#"{"a":{"dtype":"F33","shape":[],"data_offsets":[0,4]}}"#,
            r#"{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}"#,
            r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#,
            r#"{"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}}"#,
            r#"{"a":{"dtype":"F32","shape":[1]}}"#,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
    }
}
