//! Converts arrays to tensors of the contract, and back.

mod elements;

use bytemuck::allocation::pod_collect_to_vec;
use bytes::Bytes;
use evenkeel_proto::v1 as pb;
use half::{bf16, f16};
use ndarray::{Array, ArrayD, CowArray, Dimension, IxDyn};

pub(crate) use self::elements::Elements;
use crate::{DType, Element, Error, LengthMismatch, Tensor};

/// The elements of an array, which [`Bytes`] owns and reads as they lie in memory.
struct Lent<A>(Vec<A>);

impl<A: Element> AsRef<[u8]> for Lent<A> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::must_cast_slice(&self.0)
    }
}

pub(crate) fn encode<A: Element, D: Dimension>(array: CowArray<'_, A, D>) -> pb::Tensor {
    pb::Tensor {
        name: String::new(),
        dtype: A::DTYPE.to_wire().into(),
        shape: array.shape().iter().map(|&dim| i64::try_from(dim).expect("dimensions fit isize")).collect(),
        float_data: Vec::new(),
        data: to_bytes(array),
    }
}

pub(crate) fn encode_tensor(tensor: Tensor) -> pb::Tensor {
    match tensor {
        Tensor::F32(array) => encode(array.into()),
        Tensor::F64(array) => encode(array.into()),
        Tensor::F16(array) => encode(array.into()),
        Tensor::Bf16(array) => encode(array.into()),
    }
}

/// The elements in row-major order, little-endian. An array that lies so in memory is copied once if it is borrowed, and not
/// at all if it is owned.
pub(crate) fn to_bytes<A: Element, D: Dimension>(array: CowArray<'_, A, D>) -> Bytes {
    if array.is_view()
        && cfg!(target_endian = "little")
        && let Some(elements) = array.as_slice()
    {
        return Bytes::copy_from_slice(bytemuck::must_cast_slice(elements));
    }
    let array = if array.is_standard_layout() { array.into_owned() } else { array.as_standard_layout().into_owned() };
    let len = array.len();
    let (mut elements, first) = array.into_raw_vec_and_offset();
    // An array that was sliced keeps the elements around it.
    elements.truncate(first.unwrap_or(0) + len);
    elements.drain(..first.unwrap_or(0));
    if cfg!(target_endian = "big") {
        elements.iter_mut().for_each(|element| *element = element.swap_on_big_endian());
    }
    Bytes::from_owner(Lent(elements))
}

/// The array of this shape whose elements are these bytes.
pub(crate) fn from_bytes<A: Element>(shape: &[usize], bytes: &[u8]) -> Result<ArrayD<A>, LengthMismatch> {
    let expected = shape.iter().try_fold(A::DTYPE.size(), |bytes, &dim| bytes.checked_mul(dim));
    if expected != Some(bytes.len()) {
        return Err(LengthMismatch { expected, given: bytes.len() });
    }
    // Bytes of a message or a file start at any address, so they must be copied to an aligned one.
    let mut elements: Vec<A> = pod_collect_to_vec(bytes);
    if cfg!(target_endian = "big") {
        elements.iter_mut().for_each(|element| *element = element.swap_on_big_endian());
    }
    with_shape(shape, elements)
}

/// The array of this shape that has these elements.
fn with_shape<A: Element>(shape: &[usize], elements: Vec<A>) -> Result<ArrayD<A>, LengthMismatch> {
    let given = elements.len() * A::DTYPE.size();
    let expected = shape.iter().try_fold(A::DTYPE.size(), |bytes, &dim| bytes.checked_mul(dim));
    if expected != Some(given) {
        return Err(LengthMismatch { expected, given });
    }
    // ndarray refuses dimensions whose product, leaving out zeros, is beyond any memory.
    ArrayD::from_shape_vec(IxDyn(shape), elements).map_err(|_| LengthMismatch { expected: None, given })
}

/// A tensor of a response. If its elements have landed, that is, were written into an array as they came, they take the place of
/// its `data`.
pub(crate) struct Received {
    pub(crate) tensor: pb::Tensor,
    pub(crate) landed: Option<Tensor>,
}

impl From<pb::Tensor> for Received {
    fn from(tensor: pb::Tensor) -> Self {
        Self { tensor, landed: None }
    }
}

/// A tensor of a response as an array, which must have the type and the shape of its counterpart in the request, and no name.
pub(crate) fn decode<A: Element, D: Dimension>(
    field: &str,
    tensor: Option<impl Into<Received>>,
    dim: &D,
) -> Result<Array<A, D>, Error> {
    let tensor = tensor.ok_or_else(|| Error::protocol(field, "is missing"))?;
    let Received { tensor: pb::Tensor { name, dtype, shape, float_data, data }, landed } = tensor.into();
    let dims = dim.slice();
    if !name.is_empty() {
        return Err(Error::protocol(format!("{field}.name"), "is there, and none is due"));
    }
    if DType::from_wire(dtype) != Some(A::DTYPE) {
        let given = pb::DataType::try_from(dtype).map_or_else(|_| dtype.to_string(), |it| it.as_str_name().to_owned());
        return Err(Error::protocol(format!("{field}.dtype"), format!("is {given} where {} is due", A::DTYPE)));
    }
    if !float_data.is_empty() {
        return Err(Error::protocol(format!("{field}.float_data"), "answers a request that used data"));
    }
    if !shape.iter().map(|&dim| usize::try_from(dim).ok()).eq(dims.iter().map(|&dim| Some(dim))) {
        return Err(Error::protocol(format!("{field}.shape"), format!("is {shape:?} where {dims:?} is due")));
    }
    // Landed elements have the type that `dtype` names, which is `A`.
    let array = match landed.and_then(|landed| A::from_tensor(landed).ok()) {
        Some(landed) => with_shape(dims, landed.into_raw_vec_and_offset().0),
        None => from_bytes(dims, &data),
    };
    let array = array.map_err(|mismatch| {
        Error::protocol(format!("{field}.data"), format!("does not fill {} of shape {dims:?}: {mismatch}", A::DTYPE))
    })?;
    Ok(array.into_dimensionality().expect("the shape is that of the dimensions"))
}

/// The dtype and the shape of a tensor that was sent. Its counterpart in the response must have the same.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    dtype: DType,
    shape: Vec<usize>,
}

impl Form {
    pub(crate) fn of(tensor: &Tensor) -> Self {
        Self { dtype: tensor.dtype(), shape: tensor.shape().to_vec() }
    }

    /// A tensor of a response, which must have this form.
    pub(crate) fn decode(self, field: &str, tensor: Option<impl Into<Received>>) -> Result<Tensor, Error> {
        let dim = IxDyn(&self.shape);
        Ok(match self.dtype {
            DType::F32 => Tensor::F32(decode::<f32, _>(field, tensor, &dim)?),
            DType::F64 => Tensor::F64(decode::<f64, _>(field, tensor, &dim)?),
            DType::F16 => Tensor::F16(decode::<f16, _>(field, tensor, &dim)?),
            DType::Bf16 => Tensor::Bf16(decode::<bf16, _>(field, tensor, &dim)?),
        })
    }
}

#[cfg(test)]
mod tests;
