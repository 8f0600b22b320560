//! Layouts, dtypes, and responses that do not fit.

use ndarray::{Array2, Array3, Axis, Ix2, array, s};

use super::*;

/// An array comes back as the same array, whatever its layout in memory.
fn round_trip<A: Element, D: Dimension>(array: CowArray<'_, A, D>) {
    let logical = array.to_owned();
    let shape = array.shape().to_vec();
    let tensor = encode(array);
    assert_eq!(tensor.shape, shape.iter().map(|&dim| dim as i64).collect::<Vec<_>>());
    assert_eq!(tensor.data.len(), logical.len() * size_of::<A>());
    let decoded: Array<A, D> = decode("output", Some(tensor), &logical.raw_dim()).expect("what was sent");
    assert_eq!(decoded, logical);
    assert!(decoded.is_standard_layout());
}

#[test]
fn every_layout_arrives_in_row_major_order() {
    let array = Array3::from_shape_fn((2, 3, 4), |(i, j, k)| (100 * i + 10 * j + k) as f32);
    round_trip(array.view().into());
    round_trip(array.t().into());
    round_trip(array.slice(s![.., ..;-1, 1..;2]).into());
    round_trip(array.view().permuted_axes([1, 2, 0]).into());
    round_trip(array.index_axis(Axis(1), 2).broadcast((5, 2, 4)).expect("a new leading axis").into());
    round_trip(array.clone().into());
    round_trip(array.clone().reversed_axes().into());
    round_trip(array.clone().slice_move(s![1.., 1..2, ..]).into());
    round_trip(array.clone().slice_move(s![1.., .., ..]).into());
    round_trip(array.clone().slice_move(s![..1, .., ..]).into());
    round_trip(array.slice_move(s![1..1, .., ..]).into());
    round_trip(ndarray::arr0(7.0_f64).into());
    round_trip(Array2::from_elem((0, 3), f16::ONE).into());
}

#[test]
fn bytes_are_little_endian() {
    assert_eq!(encode(array![1.0_f32].into()).data[..], [0, 0, 0x80, 0x3F]);
    assert_eq!(encode(array![1.0_f64].into()).data[..], [0, 0, 0, 0, 0, 0, 0xF0, 0x3F]);
    assert_eq!(encode(array![f16::ONE].into()).data[..], [0, 0x3C]);
    assert_eq!(encode(array![bf16::ONE].into()).data[..], [0x80, 0x3F]);
    assert_eq!(encode(array![bf16::ONE].into()).dtype, pb::DataType::Bfloat16 as i32);
}

#[test]
fn an_owned_array_is_not_copied() {
    let array = Array2::<f64>::ones((30, 40));
    let at = array.as_ptr().addr();
    assert_eq!(encode(array.into()).data.as_ptr().addr(), at);
}

fn tensor(dtype: pb::DataType, shape: &[i64], bytes: usize) -> pb::Tensor {
    pb::Tensor { dtype: dtype.into(), shape: shape.to_vec(), data: vec![0; bytes].into(), ..Default::default() }
}

#[track_caller]
fn refused(result: Result<Array2<f32>, Error>, expected_field: &str) {
    match result {
        Err(Error::Protocol { field, reason }) => {
            assert_eq!(field, expected_field, "{reason}");
            assert!(!reason.is_empty());
        }
        other => panic!("expected a protocol error for {expected_field} and got {other:?}"),
    }
}

#[test]
fn answers_that_break_the_contract_are_refused() {
    use pb::DataType::{Float32, Float64, Unspecified};

    let decode = |tensor| decode::<f32, Ix2>("output", tensor, &Ix2(2, 3));
    assert!(decode(Some(tensor(Float32, &[2, 3], 24))).is_ok());
    refused(decode(None), "output");
    refused(decode(Some(tensor(Float64, &[2, 3], 48))), "output.dtype");
    refused(decode(Some(tensor(Unspecified, &[2, 3], 24))), "output.dtype");
    refused(decode(Some(pb::Tensor { dtype: 99, ..tensor(Float32, &[2, 3], 24) })), "output.dtype");
    refused(decode(Some(tensor(Float32, &[2, 3], 23))), "output.data");
    refused(decode(Some(tensor(Float32, &[2, 3], 28))), "output.data");
    refused(decode(Some(tensor(Float32, &[2, -3], 24))), "output.shape");
    refused(decode(Some(tensor(Float32, &[i64::MAX, i64::MAX], 24))), "output.shape");
    refused(decode(Some(pb::Tensor { name: "x".to_owned(), ..tensor(Float32, &[2, 3], 24) })), "output.name");
    refused(decode(Some(tensor(Float32, &[3, 2], 24))), "output.shape");
    refused(decode(Some(tensor(Float32, &[6], 24))), "output.shape");
    refused(decode(Some(pb::Tensor { float_data: vec![0.0; 6], ..tensor(Float32, &[2, 3], 24) })), "output.float_data");
}

/// A dimension of zero makes the number of elements fit, however large the others are; ndarray still refuses.
#[test]
fn dimensions_beyond_memory_are_refused() {
    assert!(from_bytes::<f32>(&[0, usize::MAX, 2], &[]).is_err());
}
