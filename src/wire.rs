//! Protobuf messages to operations and back.
//!
//! Decoding is total: it takes every message apart field by field, so that a new field is a compile error here, and
//! refuses whatever does not describe tensors. Past it only the operations' own arguments can be wrong, and those the
//! kernels check; where something is wrong already, decoding has them check what they can, so that a client hears of
//! everything at once. Payloads are never copied: a decoded tensor holds the bytes of the received message, and an answer
//! holds the bytes that the kernel wrote.

mod clip;
mod dropout;
mod in_place;
mod kind;
mod measure;
mod measure_statistics;
mod normalize;
mod server_info;
mod size;
mod statistics;
mod tensor;

use std::borrow::Cow;

use evenkeel_kernels::Violations;

use crate::error::Error;

pub(crate) use self::{
    clip::ClipGradients,
    dropout::{Dropout, DropoutBackward},
    in_place::in_place,
    kind::encode_kind,
    measure::{MeasureGradients, encode_norm},
    measure_statistics::{Header, MeasureStatistics},
    normalize::{Normalize, NormalizeBackward},
    server_info::encode_server_info,
    size::AnswerSize,
    statistics::{SETS_IN_A_ROW, encode_statistics, encoded_bytes},
    tensor::{Description, Tensor},
};

use self::kind::decode_kind;

/// The path of a tensor in a request: `input`, `gradients[3]`.
#[derive(Clone, Copy, Debug)]
struct Path {
    field: &'static str,
    index: Option<usize>,
}

impl Path {
    const fn new(field: &'static str) -> Self {
        Self { field, index: None }
    }

    const fn item(field: &'static str, index: usize) -> Self {
        Self { field, index: Some(index) }
    }

    /// The path of something inside the tensor: `input` and `.shape` make `input.shape`.
    fn join(self, inner: &str) -> String {
        let Self { field, index } = self;
        match index {
            Some(index) => format!("{field}[{index}]{inner}"),
            None => format!("{field}{inner}"),
        }
    }
}

/// An enum's value of which the contract knows nothing.
fn unknown(field: impl Into<Cow<'static, str>>, value: i32, found: &mut Violations) {
    found.add(field, format!("{value} is not a value of this enum"));
}

/// A field without a default that was not set.
fn unspecified(field: impl Into<Cow<'static, str>>, found: &mut Violations) {
    found.add(field, "is required");
}

/// What was decoded, if nothing was found wrong with it.
fn decoded<T>(decoded: Option<T>, found: Violations) -> Result<T, Error> {
    found.into_result()?;
    Ok(decoded.expect("without a violation everything was decoded"))
}
