//! The conversion of protobuf messages to operations and back.
//!
//! Each request is taken apart field by field, so that a new field of the contract is a compile error here. Decoding
//! checks the tensors; the kernels check the options of the operations. If decoding finds a fault, it has the kernels
//! check the options that are known, so that a client learns of all faults at once.
//!
//! The bytes of `data` are not copied: a decoded tensor holds a slice of the received message, and an answer holds the
//! buffer that the kernel wrote. Only the small parameters of a normalization that overwrites its message are copied
//! (`Parameters::detach_below`).

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

/// The path of a tensor, or of statistics, in a request: `input`, `gradients[3]`.
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

    /// The path of a field inside: `input` and `.shape` make `input.shape`.
    fn join(self, inner: &str) -> String {
        let Self { field, index } = self;
        match index {
            Some(index) => format!("{field}[{index}]{inner}"),
            None => format!("{field}{inner}"),
        }
    }
}

/// Adds the violation of an enum value that the contract does not have.
fn unknown(field: impl Into<Cow<'static, str>>, value: i32, found: &mut Violations) {
    found.add(field, format!("{value} is not a value of this enum"));
}

/// Adds the violation of a required field that is not set.
fn unspecified(field: impl Into<Cow<'static, str>>, found: &mut Violations) {
    found.add(field, "is required");
}

/// The decoded value, which may be `None` only beside a violation.
///
/// # Errors
/// [`Error::Invalid`] with the violations, if there are any.
fn decoded<T>(decoded: Option<T>, found: Violations) -> Result<T, Error> {
    found.into_result()?;
    Ok(decoded.expect("without a violation everything was decoded"))
}
