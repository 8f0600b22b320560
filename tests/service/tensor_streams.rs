//! Tensors that come and go in chunks: the bytes of the unary calls, however they are cut.

mod chunkings;
mod clip;
mod dropout;
mod hostile;
mod normalize;

use evenkeel_proto::v1 as pb;

/// So many bytes of a tensor's elements, all of them numbers.
pub(crate) fn data(dtype: pb::DataType, elements: usize) -> Vec<u8> {
    let value = |i: usize| ((i * 7919 + 13) % 1009) as f32 - 504.5;
    (0..elements).flat_map(|i| encoded(dtype, value(i) / 16.0)).collect()
}

fn encoded(dtype: pb::DataType, x: f32) -> Vec<u8> {
    match dtype {
        pb::DataType::Float64 => f64::from(x).to_le_bytes().to_vec(),
        pb::DataType::Float16 => ((x as i16) & 0x3BFF).to_le_bytes().to_vec(),
        pb::DataType::Bfloat16 => ((x.to_bits() >> 16) as u16).to_le_bytes().to_vec(),
        pb::DataType::Unspecified | pb::DataType::Float32 => x.to_le_bytes().to_vec(),
    }
}

/// The dtypes, and the bytes of their elements.
pub(crate) const DTYPES: [(pb::DataType, usize); 4] =
    [(pb::DataType::Float32, 4), (pb::DataType::Float64, 8), (pb::DataType::Float16, 2), (pb::DataType::Bfloat16, 2)];

/// A tensor without elements.
pub(crate) fn described(dtype: pb::DataType, shape: &[i64]) -> pb::Tensor {
    pb::Tensor { name: "x".to_owned(), dtype: dtype.into(), shape: shape.to_vec(), ..Default::default() }
}

/// The same with elements.
pub(crate) fn whole(dtype: pb::DataType, shape: &[i64]) -> pb::Tensor {
    let count: i64 = shape.iter().product();
    pb::Tensor { data: data(dtype, count as usize).into(), ..described(dtype, shape) }
}

/// `bytes`, cut into pieces of these lengths, over and over.
pub(crate) fn cut(mut bytes: &[u8], lengths: &[usize]) -> Vec<Vec<u8>> {
    assert!(lengths.iter().any(|&len| len > 0), "some bytes are in some piece");
    let mut pieces = Vec::new();
    for &len in lengths.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at(len.min(bytes.len()));
        pieces.push(piece.to_vec());
        bytes = rest;
    }
    pieces
}

/// Lengths of pieces: within elements, whole rows, with empty ones, and all at once.
pub(crate) const CUTS: [&[usize]; 5] = [&[7], &[0, 1, 4096, 0, 33], &[65_536], &[100_000, 3], &[usize::MAX]];
