//! Makes tensors from few bytes of input.

use arbitrary::{Result, Unstructured};
use evenkeel_kernels::{DType, Tensor};
use evenkeel_proto::v1 as pb;

/// Tensors with more elements reach no other code and take longer: a part of a normalization has some 32,768.
const MOST_ELEMENTS: usize = 1 << 17;

/// A shape of rank 0 to 4, mostly of few elements.
pub fn shape(u: &mut Unstructured<'_>) -> Result<Vec<usize>> {
    let rank = u.int_in_range(0..=4)?;
    let mut shape = Vec::new();
    let mut elements = 1;
    for _ in 0..rank {
        let dim = match u.int_in_range(0..=15)? {
            0 => u.int_in_range(0..=3000)?,
            1..=3 => u.int_in_range(0..=70)?,
            small => small % 7,
        };
        let dim = if elements * dim > MOST_ELEMENTS { 1 } else { dim };
        elements *= dim.max(1);
        shape.push(dim);
    }
    Ok(shape)
}

/// A dtype.
pub fn dtype(u: &mut Unstructured<'_>) -> Result<DType> {
    u.choose(&[DType::F32, DType::F64, DType::F16, DType::Bf16]).copied()
}

/// A tensor of this dtype and shape: a few numbers of any kind, repeated, with a slope so that not all are alike.
pub fn tensor(u: &mut Unstructured<'_>, dtype: DType, shape: &[usize]) -> Result<Tensor> {
    let pattern: [u8; 24] = u.arbitrary()?;
    let slope: u8 = u.arbitrary()?;
    let len = shape.iter().product::<usize>() * dtype.size();
    let byte = |i: usize| pattern[i % 24].wrapping_add((i / 24 % 251) as u8 & slope);
    Ok(Tensor::from_bytes(dtype, shape.to_vec(), (0..len).map(byte).collect())
        .expect("as many bytes as elements ask for"))
}

/// A tensor of the contract: in five cases of 32 with a fault, and in one with its elements as `float_data`.
pub fn message(u: &mut Unstructured<'_>, dtype: DType, shape: &[usize]) -> Result<pb::Tensor> {
    let number = match dtype {
        DType::F32 => pb::DataType::Float32,
        DType::F64 => pb::DataType::Float64,
        DType::F16 => pb::DataType::Float16,
        DType::Bf16 => pb::DataType::Bfloat16,
    };
    let (_, shape, data) = tensor(u, dtype, shape)?.into_parts();
    let mut message = pb::Tensor {
        name: if u.ratio(1, 4)? { "w".to_owned() } else { String::new() },
        dtype: number.into(),
        shape: shape.iter().map(|&dim| dim as i64).collect(),
        data: data.into(),
        ..Default::default()
    };
    match u.int_in_range(0..=31)? {
        0 => message.data = message.data.slice(message.data.len() / 2..),
        1 => message.shape.push(u.arbitrary()?),
        2 => message.dtype = u.arbitrary()?,
        3 => message.float_data = vec![1.0; u.int_in_range(0..=9)?],
        4 => message.data = Default::default(),
        5 => {
            let elements: usize = shape.iter().product();
            message.float_data = vec![u.arbitrary()?; elements];
            message.data = Default::default();
        }
        _ => (),
    }
    Ok(message)
}
