//! Streams of tensors of which a client sends the beginning alone.

use bytes::Bytes;
use evenkeel_proto::v1::{self as pb, NormKind};
use prost::Message;

use crate::{
    harness::{clip, dropout, normalize},
    peer::framed,
    tensor_streams::{data, described},
};

/// A call whose request is a stream with a tensor's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Statistics,
    Normalize,
    Dropout,
    Clip,
    /// The client sends the header of a clipping, and no gradient.
    NoGradient,
}

impl Stream {
    pub(super) fn method(self) -> &'static str {
        match self {
            Self::Statistics => "MeasureStatistics",
            Self::Normalize => "NormalizeStream",
            Self::Dropout => "DropoutStream",
            Self::Clip | Self::NoGradient => "ClipGradientsStream",
        }
    }

    /// What is known of the kind, the dtype and the shape.
    pub(super) fn described(self) -> [&'static str; 3] {
        match self {
            Self::Statistics => ["batch", "float32", "100000 elements"],
            Self::Normalize => ["layer", "float32", "[100, 1000]"],
            Self::Dropout => ["element", "float32", "[100, 1000]"],
            Self::Clip => ["value", "float32", "100000 elements"],
            Self::NoGradient => ["value", "none", "0 elements"],
        }
    }

    /// Whether the answer begins before the request has ended.
    pub(super) fn answers_at_once(self) -> bool {
        self != Self::Statistics
    }

    /// The messages of a tensor, of whose elements the last half is missing.
    pub(super) fn begins(self) -> Bytes {
        let dtype = pb::DataType::Float32;
        let input = described(dtype, &[100, 1000]);
        let half: Bytes = data(dtype, 50_000).into();
        match self {
            Self::Statistics => {
                use pb::{MeasureStatisticsRequest, measure_statistics_request::Part};
                let part = Some(Part::Header(normalize(NormKind::Batch, input)));
                framed(&MeasureStatisticsRequest { part, data: half, ..Default::default() }.encode_to_vec())
            }
            Self::Normalize => {
                use pb::{NormalizeStreamRequest, normalize_stream_request::Part};
                let parts = [Part::Header(normalize(NormKind::Layer, input)), Part::Data(half)];
                messages(parts.map(|part| NormalizeStreamRequest { part: Some(part) }))
            }
            Self::Dropout => {
                use pb::{DropoutStreamRequest, dropout_stream_request::Part};
                let parts = [Part::Header(dropout(0.5, input)), Part::Data(half)];
                messages(parts.map(|part| DropoutStreamRequest { part: Some(part) }))
            }
            Self::Clip | Self::NoGradient => {
                use pb::{ClipGradientsStreamRequest, clip_gradients_stream_request::Part};
                let header = clip(pb::ClipMode::Value, 1.0, Vec::new());
                let mut parts = vec![Part::Header(header)];
                if self == Self::Clip {
                    parts.extend([Part::Tensor(input), Part::Data(half)]);
                }
                messages(parts.into_iter().map(|part| ClipGradientsStreamRequest { part: Some(part) }))
            }
        }
    }
}

fn messages<M: Message>(messages: impl IntoIterator<Item = M>) -> Bytes {
    messages.into_iter().flat_map(|message| framed(&message.encode_to_vec())).collect()
}
