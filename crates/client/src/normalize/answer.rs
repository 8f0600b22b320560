//! What a response has beside the normalized elements.

use evenkeel_proto::v1 as pb;

use crate::{DType, Error, Tensor, codec, codec::Form};

/// The axes that were pooled, of an input of so many dimensions.
pub(super) fn axes(axes: Vec<i32>, ndim: usize) -> Result<Vec<usize>, Error> {
    let axis = |axis| match usize::try_from(axis) {
        Ok(axis) if axis < ndim => Ok(axis),
        Ok(_) | Err(_) => Err(Error::protocol("axes", format!("names axis {axis} of an array of {ndim} dimensions"))),
    };
    axes.into_iter().map(axis).collect()
}

/// A statistic of an input of these elements.
pub(super) fn statistic(field: &str, input: DType, tensor: Option<pb::Tensor>) -> Result<Option<Tensor>, Error> {
    let Some(tensor) = tensor else { return Ok(None) };
    Ok(Some(match input {
        DType::F64 => Tensor::F64(codec::decode_any_shape(field, tensor)?),
        DType::F32 | DType::F16 | DType::Bf16 => Tensor::F32(codec::decode_any_shape(field, tensor)?),
    }))
}

/// A running statistic of the response, which may be there only if one was sent.
pub(super) fn running(field: &str, sent: Option<Form>, tensor: Option<pb::Tensor>) -> Result<Option<Tensor>, Error> {
    match (sent, tensor) {
        (_, None) => Ok(None),
        (Some(form), tensor @ Some(_)) => form.decode(field, tensor).map(Some),
        (None, Some(_)) => Err(Error::protocol(field, "answers nothing that was sent")),
    }
}
