//! GetServerInfo.

use evenkeel_kernels::{DType, NormKind};
use evenkeel_proto::v1 as pb;

use super::{kind::encode_kind, tensor::encode_dtype};
use crate::config::Encoding;

/// The answer of a server with these settings.
pub(crate) fn encode_server_info(
    max_message_bytes: usize,
    max_stream_chunk_bytes: usize,
    compression: &[Encoding],
) -> pb::GetServerInfoResponse {
    pb::GetServerInfoResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        max_message_bytes: max_message_bytes as u64,
        max_stream_chunk_bytes: max_stream_chunk_bytes as u64,
        dtypes: DType::ALL.into_iter().map(|dtype| encode_dtype(dtype).into()).collect(),
        norm_kinds: NormKind::ALL.into_iter().map(|kind| encode_kind(kind).into()).collect(),
        compression: compression.iter().map(|encoding| encoding.name().to_owned()).collect(),
    }
}
