//! The size of an answer, known before the answer is computed.

use evenkeel_frames::Bulk;
use evenkeel_proto::v1 as pb;
use prost::encoding::{encoded_len_varint, key_len};

use super::tensor::{Description, Form};

/// The numbers of a tensor's fields.
const NAME: u32 = 1;
const DTYPE: u32 = 2;
const SHAPE: u32 = 3;
const FLOAT_DATA: u32 = 14;
const DATA: u32 = <pb::Tensor as Bulk>::DATA;

/// The bytes of a float in a tensor's `float_data`.
const FLOAT: usize = 4;

/// The size of an answer: of its message, which must not exceed the limit, and of the memory that the server needs for
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AnswerSize {
    /// A lower bound of the message's length, in bytes. It leaves out numbers that depend on the elements, and all but
    /// the elements of the other results: their keys, dtypes and shapes.
    pub(crate) message: usize,
    /// An upper bound of the memory of the other results, as they are computed and as they are encoded, in bytes.
    pub(crate) beside: usize,
}

impl AnswerSize {
    /// The size of an answer that has a tensor for each of `tensors`, and other results of `results` bytes.
    pub(crate) fn of<'a, T: AsRef<Description> + 'a>(tensors: impl IntoIterator<Item = &'a T>, results: usize) -> Self {
        let mut message = 0;
        let mut as_numbers = false;
        for tensor in tensors {
            let tensor = tensor.as_ref();
            let len = tensor_len(tensor);
            // Fields with tensors have numbers below 16, as `data` has, so their keys are as long.
            message += key_len(DATA) + encoded_len_varint(len as u64) + len;
            as_numbers |= tensor.form() == Form::Numbers;
        }
        if !as_numbers {
            return Self { message: message + results, beside: 2 * results };
        }
        // An element of 2 to 8 bytes becomes a float of 4, once in a list and once in the encoded message.
        Self { message: message + results / 2, beside: results + 2 * (2 * results) }
    }
}

/// The encoded length of the tensor that answers one of this description, in bytes. It has the same name, dtype, shape
/// and form.
fn tensor_len(tensor: &Description) -> usize {
    let text = |number, len: usize| if len == 0 { 0 } else { key_len(number) + encoded_len_varint(len as u64) + len };
    let dims = tensor.shape().iter().map(|&dim| encoded_len_varint(dim as u64)).sum();
    let elements = match tensor.form() {
        Form::Bytes => text(DATA, tensor.elements() * tensor.dtype().size()),
        Form::Numbers => text(FLOAT_DATA, tensor.elements() * FLOAT),
    };
    // The dtype takes one byte: it is never 0, which would be left out, and is below 128.
    text(NAME, tensor.name().len()) + key_len(DTYPE) + 1 + text(SHAPE, dims) + elements
}

#[cfg(test)]
mod tests {
    use evenkeel_kernels::Violations;
    use evenkeel_proto::v1 as pb;
    use prost::Message as _;

    use super::*;
    use crate::wire::{Path, Tensor};

    fn named(name: &str, shape: &[i64], numbers: bool) -> pb::Tensor {
        let elements: i64 = shape.iter().product();
        let elements = usize::try_from(elements).expect("not negative");
        let (float_data, data) = if numbers { (vec![1.0; elements], vec![]) } else { (vec![], vec![0; 2 * elements]) };
        pb::Tensor {
            name: name.to_owned(),
            dtype: pb::DataType::Float16.into(),
            shape: shape.to_vec(),
            float_data,
            data: data.into(),
        }
    }

    fn decoded(message: pb::Tensor) -> Tensor {
        Tensor::decode(message, Path::new("input"), usize::MAX, &mut Violations::new()).expect("it is right")
    }

    /// A tensor of the answer has the fields of the request's tensor, so it is as long.
    #[test]
    fn tensors_are_as_long_as_they_are_encoded() {
        for shape in [&[][..], &[0], &[1], &[127], &[128], &[300, 2], &[1, 1, 70_000, 1], &[1 << 20, 0]] {
            for name in ["", "w", &"x".repeat(200)] {
                for numbers in [false, true] {
                    let message = named(name, shape, numbers);
                    let tensor = decoded(message.clone());
                    let expected = pb::NormalizeResponse { output: Some(message), ..Default::default() };
                    let size = AnswerSize::of([&tensor], 0);
                    assert_eq!(size, AnswerSize { message: expected.encoded_len(), beside: 0 }, "{shape:?} {name}");
                }
            }
        }
    }

    /// Results of 1000 bytes stay as long in `data`. In `float_data` they have at least 500 bytes (4 for each 8 of
    /// float64), and at most 2000 (4 for each 2 of float16), which are in a list and in the message.
    #[test]
    fn other_results_take_their_bytes_twice_and_numbers_more() {
        let [bytes, numbers] = [false, true].map(|numbers| decoded(named("w", &[3], numbers)));
        let lens = [&bytes, &numbers].map(|tensor| AnswerSize::of([tensor], 0).message);
        let size = |tensors: &[&Tensor]| AnswerSize::of(tensors.iter().copied(), 1000);
        assert_eq!(size(&[&bytes]), AnswerSize { message: lens[0] + 1000, beside: 2000 });
        assert_eq!(size(&[&numbers]), AnswerSize { message: lens[1] + 500, beside: 1000 + 2 * 2000 });
        let both = AnswerSize { message: lens[0] + lens[1] + 500, beside: 1000 + 2 * 2000 };
        assert_eq!((size(&[&bytes, &numbers]), size(&[&numbers, &bytes])), (both, both));
    }
}
