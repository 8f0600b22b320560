//! Tensors on the wire.

use bytes::Bytes;
use evenkeel_kernels::{self as kernels, DType, TensorRef, Violations};
use evenkeel_proto::v1 as pb;

use super::Path;
use crate::buffers::Buffers;

/// The most dimensions of a tensor, as in NumPy 2 and in the contract.
const MAX_RANK: usize = 64;

/// Numbers typed by hand are converted through a buffer of this many float64, on the stack.
const BLOCK: usize = 512;

/// The most bytes of a tensor that comes in many messages: 2^50, so that lengths and times can be computed without
/// overflow.
const MAX_ANNOUNCED: usize = 1 << 50;

/// The field of the message that has a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In `data`.
    Bytes,
    /// In `float_data`.
    Numbers,
}

/// A tensor of a request, without its elements.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    name: String,
    pub(super) dtype: DType,
    pub(super) shape: Vec<usize>,
    form: Form,
}

/// A tensor of a request, with exactly the bytes that its dtype and shape need.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(super) description: Description,
    pub(super) data: Bytes,
}

/// The properties of an invalid tensor that are known.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) dtype: Option<DType>,
    pub(super) shape: Option<Vec<usize>>,
}

/// A tensor, or what is known of an invalid one.
pub(super) type Decoded<T> = Result<T, Known>;

/// The shape, if it is known.
pub(super) fn shape_of<T: AsRef<Description>>(decoded: &Decoded<T>) -> Option<&[usize]> {
    match decoded {
        Ok(tensor) => Some(&tensor.as_ref().shape),
        Err(known) => known.shape.as_deref(),
    }
}

/// The dtype, if it is known.
pub(super) fn dtype_of<T: AsRef<Description>>(decoded: &Decoded<T>) -> Option<DType> {
    match decoded {
        Ok(tensor) => Some(tensor.as_ref().dtype),
        Err(known) => known.dtype,
    }
}

impl Description {
    /// Decodes a tensor whose `data_len` bytes of `data` are still on their way. `limit`: the largest message, in
    /// bytes. An error: `found` has more violations.
    pub(super) fn arriving(
        message: Option<pb::Tensor>,
        data_len: usize,
        path: Path,
        limit: usize,
        found: &mut Violations,
    ) -> Decoded<Self> {
        let message = present(message, path, found)?;
        Self::decode(message, Form::Bytes, Some(data_len), path, limit, found)
    }

    /// Decodes a tensor whose elements come in any number of other messages; elements in this one are ignored. An
    /// error: `found` has more violations.
    pub(super) fn announced(message: Option<pb::Tensor>, path: Path, found: &mut Violations) -> Decoded<Self> {
        let pb::Tensor { name, dtype, shape, float_data: _, data: _ } = present(message, path, found)?;
        let dtype = decode_dtype(dtype, Form::Bytes, path, found);
        let shape = decode_dims(&shape, path, found).filter(|shape| {
            let is_possible = fits(shape, dtype.unwrap_or(DType::F16), MAX_ANNOUNCED);
            if !is_possible {
                let reason = || format!("{shape:?} is more than {MAX_ANNOUNCED} bytes");
                let reason = || too_many_places(shape, MAX_ANNOUNCED).unwrap_or_else(reason);
                found.add_with(|| (path.join(".shape"), reason()));
            }
            is_possible
        });
        match (dtype, shape) {
            (Some(dtype), Some(shape)) => Ok(Self { name, dtype, shape, form: Form::Bytes }),
            (dtype, shape) => Err(Known { dtype, shape }),
        }
    }

    /// As [`announced`](Self::announced), but elements in this message are refused. A tensor without elements must fit
    /// in a message of `limit` bytes, which bounds the statistics that its shape asks for. Violations of these two
    /// rules are in `found` only.
    pub(super) fn streamed(
        message: Option<pb::Tensor>,
        path: Path,
        limit: usize,
        found: &mut Violations,
    ) -> Decoded<Self> {
        let message = present(message, path, found)?;
        let fields = [(".data", message.data.is_empty()), (".float_data", message.float_data.is_empty())];
        for (field, _) in fields.into_iter().filter(|&(_, is_empty)| !is_empty) {
            found.add_with(|| (path.join(field), "must be empty: the elements follow in messages of `data`"));
        }
        let announced = Self::announced(Some(message), path, found)?;
        let too_many = too_many_places(&announced.shape, limit);
        if let Some(reason) = too_many.filter(|_| !fits(&announced.shape, announced.dtype, limit)) {
            found.add_with(|| (path.join(".shape"), reason));
        }
        Ok(announced)
    }

    /// Decodes the description of a tensor. `given`: the number of its bytes, or numbers, of elements; `None`: they are
    /// invalid already.
    fn decode(
        message: pb::Tensor,
        form: Form,
        given: Option<usize>,
        path: Path,
        limit: usize,
        found: &mut Violations,
    ) -> Decoded<Self> {
        let pb::Tensor { name, dtype, shape, float_data: _, data: _ } = message;
        let dtype = decode_dtype(dtype, form, path, found);
        // An unknown dtype counts as the smallest: a shape that is too large for that is too large for all.
        let shape = decode_shape(&shape, dtype.unwrap_or(DType::F16), path, limit, found);
        let (dtype, shape) = match (dtype, shape) {
            (Some(dtype), Some(shape)) => (dtype, shape),
            (dtype, shape) => {
                if given == Some(0) && shape.as_ref().is_some_and(|shape| !shape.contains(&0)) {
                    found.add_with(|| (path.join(".data"), NO_ELEMENTS));
                }
                return Err(Known { dtype, shape });
            }
        };
        let description = Self { name, dtype, shape, form };
        if given.is_some_and(|given| description.expect_length(given, path, found)) {
            return Ok(description);
        }
        Err(Known { dtype: Some(dtype), shape: Some(description.shape) })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether `given` bytes, or numbers, are as many as the shape needs; if not, `found` says so.
    fn expect_length(&self, given: usize, path: Path, found: &mut Violations) -> bool {
        let Self { name: _, dtype, shape, form } = self;
        let (field, unit, expected) = match form {
            Form::Bytes => (".data", "bytes", self.elements() * dtype.size()),
            Form::Numbers => (".float_data", "numbers", self.elements()),
        };
        if expected != given {
            found.add_with(|| {
                let mut reason = format!("expected {expected} {unit} and got {given}, for {dtype} of shape {shape:?}");
                let hints = [(given == 0, NO_ELEMENTS), (shape.is_empty(), "`shape` is empty: 1 element")];
                for (_, hint) in hints.into_iter().filter(|&(applies, _)| applies) {
                    reason.push_str("; ");
                    reason.push_str(hint);
                }
                (path.join(field), reason)
            });
        }
        expected == given
    }

    pub(crate) fn dtype(&self) -> DType {
        self.dtype
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// The tensor of the answer: the same name, dtype and shape, without elements.
    pub(crate) fn answer(&self) -> pb::Tensor {
        self.answer_bytes(Bytes::new())
    }

    /// The tensor of the answer: the same name, dtype, shape and form. `data`: its elements as bytes.
    pub(super) fn answer_bytes(&self, data: Bytes) -> pb::Tensor {
        encode(self.name.clone(), self.dtype, &self.shape, data, self.form)
    }
}

impl Tensor {
    /// Decodes a required tensor. `limit`: the largest message, in bytes. An error: `found` has more violations.
    pub(super) fn required(
        message: Option<pb::Tensor>,
        path: Path,
        limit: usize,
        found: &mut Violations,
    ) -> Decoded<Self> {
        Self::decode(present(message, path, found)?, path, limit, found)
    }

    /// Decodes a tensor, as [`required`](Self::required) does.
    pub(super) fn decode(mut message: pb::Tensor, path: Path, limit: usize, found: &mut Violations) -> Decoded<Self> {
        let (float_data, data) = (std::mem::take(&mut message.float_data), std::mem::take(&mut message.data));
        let form = if float_data.is_empty() { Form::Bytes } else { Form::Numbers };
        let is_one = form == Form::Bytes || data.is_empty();
        if !is_one {
            found.add_with(|| (path.join(".float_data"), "is sent beside data; only one of them may be"));
        }
        let given = if form == Form::Numbers { float_data.len() } else { data.len() };
        let description = Description::decode(message, form, is_one.then_some(given), path, limit, found)?;
        let data = match form {
            Form::Bytes => data,
            Form::Numbers => encode_numbers(&float_data, description.dtype).into(),
        };
        Ok(Self { description, data })
    }

    /// The tensor as the kernels take it.
    pub(crate) fn view(&self) -> TensorRef<'_> {
        let Description { dtype, shape, .. } = &self.description;
        TensorRef::new(*dtype, shape, &self.data).expect("the length was checked when it was decoded")
    }

    /// The bytes of its elements.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.data
    }

    /// The tensor of the answer: the same name, dtype and shape, with new elements. `None`: the elements are those that
    /// the tensor has now, unchanged or overwritten.
    pub(super) fn answer_data(self, data: Option<Vec<u8>>, buffers: &Buffers) -> pb::Tensor {
        let Self { description: Description { name, dtype, shape, form }, data: given } = self;
        encode(name, dtype, &shape, data.map_or(given, |data| buffers.lend(data)), form)
    }
}

impl AsRef<Description> for Tensor {
    fn as_ref(&self) -> &Description {
        &self.description
    }
}

impl AsRef<Description> for Description {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl From<Tensor> for Description {
    fn from(tensor: Tensor) -> Self {
        tensor.description
    }
}

/// The hint where a tensor must have elements, and none came.
const NO_ELEMENTS: &str = "neither `data` nor `float_data` is set";

fn present(message: Option<pb::Tensor>, path: Path, found: &mut Violations) -> Decoded<pb::Tensor> {
    message.ok_or_else(|| {
        found.add_with(|| (path.join(""), "is required"));
        Known::default()
    })
}

/// A tensor of the answer that the request has no counterpart of, and so no name for.
pub(super) fn unnamed(tensor: kernels::Tensor, form: Form) -> pb::Tensor {
    let (dtype, shape, data) = tensor.into_parts();
    encode(String::new(), dtype, &shape, data.into(), form)
}

fn encode(name: String, dtype: DType, shape: &[usize], data: Bytes, form: Form) -> pb::Tensor {
    let (float_data, data) = match form {
        Form::Bytes => (Vec::new(), data),
        Form::Numbers => (decode_numbers(&data, dtype), Bytes::new()),
    };
    let shape = shape.iter().map(|&dim| i64::try_from(dim).expect("dimensions come from int64")).collect();
    pb::Tensor { name, dtype: encode_dtype(dtype).into(), shape, float_data, data }
}

fn decode_dtype(value: i32, form: Form, path: Path, found: &mut Violations) -> Option<DType> {
    let Ok(dtype) = pb::DataType::try_from(value) else {
        found.add_with(|| (path.join(".dtype"), format!("{value} is not a value of this enum")));
        return None;
    };
    match (dtype, form) {
        (pb::DataType::Unspecified, Form::Bytes) => {
            found.add_with(|| (path.join(".dtype"), "is required"));
            None
        }
        (pb::DataType::Unspecified, Form::Numbers) | (pb::DataType::Float32, _) => Some(DType::F32),
        (pb::DataType::Float64, _) => Some(DType::F64),
        (pb::DataType::Float16, _) => Some(DType::F16),
        (pb::DataType::Bfloat16, _) => Some(DType::Bf16),
    }
}

pub(super) fn encode_dtype(dtype: DType) -> pb::DataType {
    match dtype {
        DType::F32 => pb::DataType::Float32,
        DType::F64 => pb::DataType::Float64,
        DType::F16 => pb::DataType::Float16,
        DType::Bf16 => pb::DataType::Bfloat16,
    }
}

/// The dimensions. `None`: there are more than [`MAX_RANK`], or one is negative or too large; `found` says so.
pub(super) fn decode_dims(dims: &[i64], path: Path, found: &mut Violations) -> Option<Vec<usize>> {
    if dims.len() > MAX_RANK {
        found.add_with(|| (path.join(".shape"), format!("rank {} is more than {MAX_RANK}", dims.len())));
        return None;
    }
    for (index, dim) in dims.iter().enumerate().filter(|(_, dim)| dim.is_negative()) {
        found.add_with(|| (path.join(&format!(".shape[{index}]")), format!("{dim} is negative")));
    }
    // An int64 may not fit in a `usize` of less than 64 bits.
    let too_large = |dim: &i64| !dim.is_negative() && usize::try_from(*dim).is_err();
    if dims.iter().any(too_large) {
        found.add_with(|| (path.join(".shape"), format!("{dims:?} is more than this machine can address")));
    }
    dims.iter().map(|&dim| usize::try_from(dim)).collect::<Result<_, _>>().ok()
}

/// The bytes of a place of a tensor without elements, whose statistics or mask take the memory. A place counts as two float32; two
/// float64 are twice as long, and the size of the answer is checked later.
const EMPTY_PLACE: usize = 8;

/// Whether a tensor of this dtype takes at most `limit` bytes.
///
/// Zeros count as 1 here: [0, 2^63 - 1] has no elements, but a kernel that allocates for each row must not see it.
fn fits(dims: &[usize], dtype: DType, limit: usize) -> bool {
    let place = if dims.contains(&0) { EMPTY_PLACE } else { dtype.size() };
    dims.iter().try_fold(place, |all, &dim| all.checked_mul(dim.max(1)).filter(|&all| all <= limit)).is_some()
}

/// The reason why a tensor without elements does not fit; `None`: it has elements.
fn too_many_places(dims: &[usize], limit: usize) -> Option<String> {
    let most = limit / EMPTY_PLACE;
    let reason = || format!("{dims:?} has no elements, but its other dimensions multiply to more than {most}");
    dims.contains(&0).then(reason)
}

/// The dimensions, if a tensor with them fits in a message of `limit` bytes. `None`: `found` has the reasons.
fn decode_shape(dims: &[i64], dtype: DType, path: Path, limit: usize, found: &mut Violations) -> Option<Vec<usize>> {
    let shape = decode_dims(dims, path, found)?;
    if !fits(&shape, dtype, limit) {
        let reason = || format!("{shape:?} of {dtype} is more than a message of {limit} bytes can carry");
        found.add_with(|| (path.join(".shape"), too_many_places(&shape, limit).unwrap_or_else(reason)));
        return None;
    }
    Some(shape)
}

/// Rounds numbers to `dtype`.
fn encode_numbers(numbers: &[f32], dtype: DType) -> Vec<u8> {
    let mut data = vec![0; numbers.len() * dtype.size()];
    let mut values = [0.0; BLOCK];
    for (numbers, bytes) in numbers.chunks(BLOCK).zip(data.chunks_mut(BLOCK * dtype.size())) {
        let values = &mut values[..numbers.len()];
        for (value, &number) in values.iter_mut().zip(numbers) {
            *value = number.into();
        }
        kernels::encode(dtype, values, bytes);
    }
    data
}

/// Rounds elements to float32.
fn decode_numbers(data: &[u8], dtype: DType) -> Vec<f32> {
    let mut numbers = Vec::with_capacity(data.len() / dtype.size());
    let mut values = [0.0; BLOCK];
    for bytes in data.chunks(BLOCK * dtype.size()) {
        let values = &mut values[..bytes.len() / dtype.size()];
        kernels::decode(dtype, bytes, values);
        numbers.extend(values.iter().map(|&value| value as f32));
    }
    numbers
}

#[cfg(test)]
mod tests;
