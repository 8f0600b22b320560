//! Decoding and encoding of tensors, without a server around it.

use super::*;

const LIMIT: usize = 1 << 20;
const PATH: Path = Path::new("input");

fn message(dtype: pb::DataType, shape: &[i64], data: &[u8]) -> pb::Tensor {
    pb::Tensor {
        name: "w".to_owned(),
        dtype: dtype.into(),
        shape: shape.to_vec(),
        float_data: Vec::new(),
        data: Bytes::copy_from_slice(data),
    }
}

fn typed(dtype: pb::DataType, shape: &[i64], numbers: &[f32]) -> pb::Tensor {
    pb::Tensor { float_data: numbers.to_vec(), data: Bytes::new(), ..message(dtype, shape, &[]) }
}

fn decode(message: pb::Tensor) -> Result<Tensor, Violations> {
    let mut found = Violations::new();
    let tensor = Tensor::decode(message, PATH, LIMIT, &mut found).ok();
    assert_eq!(tensor.is_none(), !found.is_empty());
    tensor.ok_or(found)
}

/// The fields and the reasons with which a tensor is refused.
fn refusals(message: pb::Tensor) -> Vec<(String, String)> {
    let violations = decode(message).expect_err("it must be refused");
    violations.iter().map(|violation| (violation.field.to_string(), violation.reason.to_string())).collect()
}

/// The one field and reason with which a tensor is refused.
fn refusal(message: pb::Tensor) -> (String, String) {
    let refusals: [_; 1] = refusals(message).try_into().expect("one violation");
    refusals.into_iter().next().expect("one violation")
}

#[test]
fn a_decoded_tensor_is_a_slice_of_the_message() {
    let message = message(pb::DataType::Float32, &[2, 1], &[0, 0, 128, 63, 0, 0, 0, 64]);
    let address = message.data.as_ptr();
    let tensor = decode(message).expect("it is right");
    assert_eq!(tensor.view().data().as_ptr(), address);
    assert_eq!((tensor.bytes().as_ptr(), tensor.bytes().len()), (address, 8));
    assert_eq!((tensor.view().dtype(), tensor.view().shape()), (DType::F32, &[2, 1][..]));
    let answer = tensor.answer_data(None, &Buffers::new(0));
    assert_eq!(answer.data.as_ptr(), address, "unchanged bytes go back as they are");
    assert_eq!((answer.name.as_str(), answer.shape), ("w", vec![2, 1]));
}

#[test]
fn new_bytes_are_not_copied_either() {
    let tensor = decode(message(pb::DataType::Float16, &[1], &[0, 60])).expect("it is right");
    let data = vec![1, 2];
    let address = data.as_ptr();
    let answer = tensor.answer_data(Some(data), &Buffers::new(0));
    assert_eq!(answer.data.as_ptr(), address);
    assert_eq!(answer.dtype(), pb::DataType::Float16);
}

#[test]
fn of_a_refused_tensor_the_shape_and_the_dtype_may_be_known() {
    let known = |message| {
        let tensor = Tensor::decode(message, PATH, LIMIT, &mut Violations::new());
        (shape_of(&tensor).map(<[usize]>::to_vec), dtype_of(&tensor))
    };
    let right = || message(pb::DataType::Float16, &[2, 3], &[0; 12]);
    let (shape, dtype) = (Some(vec![2, 3]), Some(DType::F16));
    assert_eq!(known(right()), (shape.clone(), dtype));
    assert_eq!(known(pb::Tensor { data: Bytes::new(), ..right() }), (shape.clone(), dtype));
    assert_eq!(known(pb::Tensor { dtype: 99, ..right() }), (shape, None));
    assert_eq!(known(pb::Tensor { shape: vec![-1], ..right() }), (None, dtype));
}

#[test]
fn an_answer_has_the_description_of_what_it_answers() {
    let description = Description::from(decode(message(pb::DataType::Float16, &[1], &[0, 60])).expect("it is right"));
    let answer = description.answer_bytes(Bytes::from_static(&[1, 2]));
    assert_eq!(answer, message(pb::DataType::Float16, &[1], &[1, 2]));
}

#[test]
fn an_empty_shape_is_a_scalar() {
    let tensor = decode(message(pb::DataType::Float64, &[], &[0; 8])).expect("it is right");
    assert_eq!(tensor.view().len(), 1);
    assert_eq!(refusal(message(pb::DataType::Float64, &[], &[])).0, "input.data");
}

#[test]
fn typed_numbers_are_rounded_to_the_dtype_and_answered_as_numbers() {
    let numbers = [1.0, -0.0, 1.0 + f32::powi(2.0, -11), f32::INFINITY];
    for (dtype, bytes, back) in [
        (pb::DataType::Unspecified, 4, numbers),
        (pb::DataType::Float32, 4, numbers),
        (pb::DataType::Float64, 8, numbers),
        (pb::DataType::Float16, 2, [1.0, -0.0, 1.0, f32::INFINITY]),
        (pb::DataType::Bfloat16, 2, [1.0, -0.0, 1.0, f32::INFINITY]),
    ] {
        let tensor = decode(typed(dtype, &[4], &numbers)).expect("it is right");
        assert_eq!(tensor.view().data().len(), 4 * bytes);
        let answer = tensor.answer_data(None, &Buffers::new(0));
        assert!(answer.data.is_empty());
        let bits = |numbers: &[f32]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&answer.float_data), bits(&back), "{dtype:?}");
        let said = if dtype == pb::DataType::Unspecified { pb::DataType::Float32 } else { dtype };
        assert_eq!(answer.dtype(), said);
    }
}

#[test]
fn more_typed_numbers_than_a_block_keep_their_order() {
    let numbers: Vec<f32> = (0..1200_u16).map(f32::from).collect();
    let tensor = decode(typed(pb::DataType::Float64, &[1200], &numbers)).expect("it is right");
    assert_eq!(tensor.answer_data(None, &Buffers::new(0)).float_data, numbers);
}

#[test]
fn data_and_numbers_together_are_refused() {
    let both = pb::Tensor { float_data: vec![1.0], ..message(pb::DataType::Float32, &[1], &[0; 4]) };
    assert_eq!(refusal(both).0, "input.float_data");
}

#[test]
fn unknown_and_missing_dtypes_are_refused() {
    assert_eq!(
        refusal(message(pb::DataType::Unspecified, &[1], &[0; 4])),
        ("input.dtype".into(), "is required".into())
    );
    let unknown = pb::Tensor { dtype: 99, ..message(pb::DataType::Float32, &[1], &[0; 4]) };
    assert_eq!(refusal(unknown).0, "input.dtype");
}

#[test]
fn a_length_that_does_not_fit_names_expected_and_given() {
    for given in [23, 25] {
        let (field, reason) = refusal(message(pb::DataType::Float32, &[2, 3], &vec![0; given]));
        assert_eq!(field, "input.data");
        assert_eq!(reason, format!("expected 24 bytes and got {given}, for float32 of shape [2, 3]"));
    }
    let (field, reason) = refusal(message(pb::DataType::Float32, &[2, 3], &[]));
    assert_eq!(field, "input.data");
    let expected = "expected 24 bytes and got 0, for float32 of shape [2, 3]; neither `data` nor `float_data` is set";
    assert_eq!(reason, expected);
    let (field, reason) = refusal(message(pb::DataType::Float32, &[], &[0; 8]));
    assert_eq!(field, "input.data");
    assert_eq!(reason, "expected 4 bytes and got 8, for float32 of shape []; `shape` is empty: 1 element");
    let (field, reason) = refusal(typed(pb::DataType::Float16, &[3], &[1.0, 2.0]));
    assert_eq!(field, "input.float_data");
    assert_eq!(reason, "expected 3 numbers and got 2, for float16 of shape [3]");
}

#[test]
fn dimensions_are_checked_before_anything_is_computed_from_them() {
    for (shape, field) in [
        (&[2, 3, -4][..], "input.shape[2]"),
        (&[i64::MIN], "input.shape[0]"),
        (&[0, -1], "input.shape[1]"),
        (&[1 << 32, 1 << 32], "input.shape"),
        (&[1 << 62], "input.shape"),
        (&[0, i64::MAX], "input.shape"),
        (&[i64::MAX, 0, i64::MAX], "input.shape"),
        (&[1; 65], "input.shape"),
    ] {
        assert_eq!(refusal(message(pb::DataType::Float32, shape, &[])).0, field, "{shape:?}");
    }
}

#[test]
fn a_shape_may_fill_a_message_and_no_more() {
    let dim = i64::try_from(LIMIT / 4).expect("it is small");
    let full = vec![0; LIMIT];
    decode(message(pb::DataType::Float32, &[dim], &full)).expect("it fits");
    assert_eq!(refusal(message(pb::DataType::Float32, &[dim + 1], &full)).0, "input.shape");
    // The statistics that a request of 20 bytes asks for must not take more than a message, either.
    decode(message(pb::DataType::Float16, &[0, dim / 2], &[])).expect("it fits");
    let (field, reason) = refusal(message(pb::DataType::Float16, &[0, dim / 2 + 1], &[]));
    assert_eq!(field, "input.shape");
    assert!(reason.contains("has no elements, but its other dimensions multiply to more than"), "{reason}");
    decode(message(pb::DataType::Float32, &[1; 64], &[0; 4])).expect("rank 64 is allowed");
}

#[test]
fn items_have_their_index_in_the_path() {
    let mut found = Violations::new();
    let _ = Tensor::decode(message(pb::DataType::Float32, &[-1], &[]), Path::item("gradients", 3), LIMIT, &mut found);
    assert_eq!(found.to_string(), "gradients[3].shape[0]: -1 is negative");
}

#[test]
fn all_that_is_wrong_is_named() {
    let fields = |message| refusals(message).into_iter().map(|(field, _)| field).collect::<Vec<_>>();
    assert_eq!(fields(pb::Tensor::default()), ["input.dtype", "input.data"]);
    let unknown = pb::Tensor { dtype: 99, ..message(pb::DataType::Float32, &[-1, 2, -3], &[]) };
    assert_eq!(fields(unknown), ["input.dtype", "input.shape[0]", "input.shape[2]"]);
}
