//! Requests of every method, with tensors of some size.

use evenkeel_proto::v1 as pb;
use evenkeel_testing::streamed::Call;
use pb::{ClipMode, NormKind};
use prost::Message as _;

use crate::{
    harness::{clip, dropout, f32s, normalize},
    peer::framed,
};

/// Calls of every method whose answer is as large as its request. Their tensors have so many elements, a multiple of 100.
pub(crate) fn calls(elements: usize) -> Vec<(&'static str, Vec<u8>)> {
    let input = || tensor(elements);
    let layer = || normalize(NormKind::Layer, input());
    let backward = pb::NormalizeBackwardRequest {
        kind: NormKind::Layer.into(),
        input: Some(input()),
        grad_output: Some(input()),
        ..Default::default()
    };
    let undropped =
        pb::DropoutBackwardRequest { p: Some(0.5), seed: 1, grad_output: Some(input()), ..Default::default() };
    vec![
        ("Normalize", layer().encode_to_vec()),
        ("Normalize", pb::NormalizeRequest { return_statistics: true, ..layer() }.encode_to_vec()),
        ("NormalizeBackward", backward.encode_to_vec()),
        ("Dropout", dropout(0.5, input()).encode_to_vec()),
        ("DropoutBackward", undropped.encode_to_vec()),
        ("ClipGradients", clip(ClipMode::Norm, 1.0, vec![input()]).encode_to_vec()),
    ]
}

/// Calls of the streams of tensors, and their messages, in one.
pub(crate) fn streams(elements: usize) -> Vec<(&'static str, Vec<u8>)> {
    let input = tensor(elements);
    let calls = [
        Call::Dropout(dropout(0.5, input.clone())),
        Call::Normalize(Box::new(normalize(NormKind::Layer, input.clone()))),
        Call::Clip(clip(ClipMode::Value, 1.0, vec![input])),
    ];
    let streamed = calls.map(|call| call.streamed(&[50_000]));
    streamed.map(|(name, messages)| (name, messages.iter().flat_map(|message| framed(message)).collect())).into()
}

/// A tensor of 100 rows.
pub(crate) fn tensor(elements: usize) -> pb::Tensor {
    f32s(&[100, elements as i64 / 100], &vec![1.5; elements])
}
