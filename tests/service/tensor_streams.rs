//! Tensors that come and go in chunks: the bytes of the unary calls, however they are cut.

mod chunkings;
mod clip;
mod dropout;
mod hostile;
mod normalize;
mod used_up;

use bytes::Bytes;
use evenkeel_proto::v1 as pb;
use prost::Message as _;

use crate::{
    harness::{clip, dropout, normalize},
    peer::{framed, prefix},
};

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

/// Requests that end after the first bytes of a message with elements, for each method that takes a tensor in several messages.
/// Bytes of 0 that follow are elements.
pub(crate) fn begun_streams() -> [(&'static str, Bytes); 4] {
    const ELEMENTS: u32 = 25_000;
    /// The bytes of a message beside its elements: a tag, and the length of the elements in three bytes.
    const BEFORE: u32 = 4;
    let input = || described(pb::DataType::Float32, &[i64::from(ELEMENTS) / 100, 100]);
    let layer = || normalize(pb::NormKind::Layer, input());
    // A message with all elements, up to the first element.
    let with_data = |message: Vec<u8>| {
        assert_eq!(message.len(), (BEFORE + 4 * ELEMENTS) as usize);
        [prefix(BEFORE + 4 * ELEMENTS), message[..BEFORE as usize].to_vec().into()].concat()
    };
    let zeros = || Bytes::from(vec![0; 4 * ELEMENTS as usize]);
    let statistics = {
        use pb::{MeasureStatisticsRequest, measure_statistics_request::Part};
        let header = MeasureStatisticsRequest { part: Some(Part::Header(layer())), ..Default::default() };
        let data = MeasureStatisticsRequest { data: zeros(), ..Default::default() };
        [framed(&header.encode_to_vec()).to_vec(), with_data(data.encode_to_vec())].concat()
    };
    let normalization = {
        use pb::{NormalizeStreamRequest, normalize_stream_request::Part};
        let message = |part| NormalizeStreamRequest { part: Some(part) }.encode_to_vec();
        [framed(&message(Part::Header(layer()))).to_vec(), with_data(message(Part::Data(zeros())))].concat()
    };
    let dropout = {
        use pb::{DropoutStreamRequest, dropout_stream_request::Part};
        let message = |part| DropoutStreamRequest { part: Some(part) }.encode_to_vec();
        [framed(&message(Part::Header(dropout(0.5, input())))).to_vec(), with_data(message(Part::Data(zeros())))]
            .concat()
    };
    let clipping = {
        use pb::{ClipGradientsStreamRequest, clip_gradients_stream_request::Part};
        let message = |part| ClipGradientsStreamRequest { part: Some(part) }.encode_to_vec();
        let header = Part::Header(clip(pb::ClipMode::Value, 1.0, Vec::new()));
        let begin = [header, Part::Tensor(input())].map(|part| framed(&message(part)));
        [begin.concat(), with_data(message(Part::Data(zeros())))].concat()
    };
    [
        ("MeasureStatistics", statistics.into()),
        ("NormalizeStream", normalization.into()),
        ("DropoutStream", dropout.into()),
        ("ClipGradientsStream", clipping.into()),
    ]
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
