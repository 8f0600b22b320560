//! Results that are written over the message that they were computed from.

use std::net::SocketAddr;

use super::*;
use crate::metrics::scrape;

/// If all elements of a message have been gathered in one buffer, the result is written into the same buffer: this
/// shows in the number of buffers, and in no answer.
#[tokio::test]
async fn what_was_put_together_is_replaced() {
    let start = async |codec_path| {
        let metrics_listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let config =
            ServerConfig { codec_path, max_message_bytes: LARGE, metrics_listen, ..ServerConfig::on_free_port() };
        Running::start(config).await.expect("the server starts")
    };
    let (codec, values) = (start(true).await, (0..300_000).map(|i| (i % 1009) as f32).collect::<Vec<_>>());
    let wide = || f32s(&[300, 1000], &values);
    let several = || vec![f32s(&[2, 3], &[1.0, -2.0, 3.0, f32::NAN, 0.0, -0.0]), f32s(&[0], &[]), wide(), wide()];
    let typed = pb::Tensor { float_data: vec![3.0; 70], shape: vec![70], ..pb::Tensor::default() };
    let clip_norm = |threshold, gradients| clip(pb::ClipMode::Norm, threshold, gradients).encode_to_vec();
    let infinite = pb::ClipGradientsRequest { error_if_nonfinite: true, ..clip(pb::ClipMode::Norm, 1.0, several()) };
    // Batch statistics need the whole tensor, so its message is gathered.
    let channels = || f32s(&[1000], &values[..1000]);
    let batch = || normalize(pb::NormKind::Batch, wide());
    let affine = |weight, bias| pb::NormalizeRequest { weight, bias, return_statistics: true, ..batch() };
    let of_all =
        pb::NormalizeRequest { axes: vec![0, 1], weight: Some(wide()), ..normalize(pb::NormKind::Layer, wide()) };
    let gradient = |weight, bias| pb::NormalizeBackwardRequest {
        kind: pb::NormKind::Layer.into(),
        weight,
        bias,
        input: Some(wide()),
        grad_output: Some(wide()),
        ..Default::default()
    };
    let backward =
        pb::DropoutBackwardRequest { p: Some(0.3), seed: 5, grad_output: Some(wide()), ..Default::default() };
    let cases = [
        ("Normalize", batch().encode_to_vec(), 1),
        ("Normalize", affine(Some(channels()), Some(channels())).encode_to_vec(), 1),
        ("Normalize", affine(Some(f32s(&[3], &[1.0; 3])), None).encode_to_vec(), 1),
        // A weight that is no smaller than the input is not copied to make room.
        ("Normalize", of_all.encode_to_vec(), 2),
        ("NormalizeBackward", gradient(None, None).encode_to_vec(), 1),
        ("NormalizeBackward", gradient(Some(channels()), Some(channels())).encode_to_vec(), 1),
        ("NormalizeBackward", gradient(Some(f32s(&[3], &[1.0; 3])), None).encode_to_vec(), 1),
        ("DropoutBackward", backward.encode_to_vec(), 1),
        ("Dropout", pb::DropoutRequest { return_mask: true, ..dropout(0.3, wide()) }.encode_to_vec(), 1),
        ("Dropout", dropout(1.5, wide()).encode_to_vec(), 1),
        ("ClipGradients", clip_norm(1.0, vec![wide(), wide()]), 1),
        ("ClipGradients", clip_norm(1e9, vec![wide(), wide()]), 1),
        ("ClipGradients", clip_norm(1.0, several()), 1),
        ("ClipGradients", clip(pb::ClipMode::Value, 2.0, several()).encode_to_vec(), 1),
        ("ClipGradients", clip(pb::ClipMode::NormPerTensor, 5.0, several()).encode_to_vec(), 1),
        ("ClipGradients", infinite.encode_to_vec(), 1),
        // The numbers of `float_data` are not in the layout of the result.
        ("ClipGradients", clip_norm(1.0, vec![typed, wide()]), 2),
    ];
    for (index, (method, message, buffers)) in cases.into_iter().enumerate() {
        let direct = start(false).await;
        let (answer, expected) = in_frames(&direct, &codec, method, &message).await;
        assert!(answer == expected, "case {index}");
        let made = scrape(&direct).await["evenkeel_buffers_made_total"];
        assert_eq!(made, f64::from(buffers), "case {index}: {:?}", answer.trailers);
    }
}
