//! Requests with an invalid tensor: the refusal names the field, for every method and every field that holds a tensor.

use bytes::Bytes;
use evenkeel_proto::v1 as pb;
use pb::{ClipMode, DataType, NormKind};

use crate::harness::{Client, clip, dropout, f32s, normalize, refused_fields, start, tensor, violation};

/// The field of the first violation. There may be more: other arguments are still checked against the parts of the
/// tensor that are known.
#[track_caller]
fn first_field<T>(answer: Result<T, tonic::Status>) -> String {
    refused_fields(answer).swap_remove(0)
}

/// Sends `bad` in every field of the contract that holds a tensor; the path of the violation must end with `inner`.
async fn is_refused_everywhere(bad: pb::Tensor, inner: &str) {
    let (_server, mut client) = start().await;
    let good = || f32s(&[2, 2], &[1.0; 4]);
    let some = || Some(bad.clone());
    let base = normalize(NormKind::Batch, good());
    for (place, request) in [
        ("input", pb::NormalizeRequest { input: some(), ..base.clone() }),
        ("weight", pb::NormalizeRequest { weight: some(), ..base.clone() }),
        ("bias", pb::NormalizeRequest { bias: some(), ..base.clone() }),
        ("running_mean", pb::NormalizeRequest { running_mean: some(), ..base.clone() }),
        ("running_var", pb::NormalizeRequest { running_var: some(), ..base }),
    ] {
        assert_eq!(first_field(client.normalize(request).await), format!("{place}{inner}"));
    }
    let base = backward(NormKind::Batch, good(), good());
    for (place, request) in [
        ("input", pb::NormalizeBackwardRequest { input: some(), ..base.clone() }),
        ("weight", pb::NormalizeBackwardRequest { weight: some(), ..base.clone() }),
        ("bias", pb::NormalizeBackwardRequest { bias: some(), ..base.clone() }),
        ("running_mean", pb::NormalizeBackwardRequest { running_mean: some(), ..base.clone() }),
        ("running_var", pb::NormalizeBackwardRequest { running_var: some(), ..base.clone() }),
        ("grad_output", pb::NormalizeBackwardRequest { grad_output: some(), ..base }),
    ] {
        assert_eq!(first_field(client.normalize_backward(request).await), format!("{place}{inner}"));
    }
    assert_eq!(first_field(client.dropout(dropout(0.5, bad.clone())).await), format!("input{inner}"));
    let request = pb::DropoutBackwardRequest { p: Some(0.5), grad_output: some(), ..Default::default() };
    assert_eq!(first_field(client.dropout_backward(request).await), format!("grad_output{inner}"));
    let request = clip(ClipMode::Norm, 1.0, vec![good(), bad.clone(), good()]);
    assert_eq!(first_field(client.clip_gradients(request).await), format!("gradients[1]{inner}"));
}

fn backward(kind: NormKind, input: pb::Tensor, grad_output: pb::Tensor) -> pb::NormalizeBackwardRequest {
    pb::NormalizeBackwardRequest {
        kind: kind.into(),
        input: Some(input),
        grad_output: Some(grad_output),
        ..Default::default()
    }
}

/// Row 1.
#[tokio::test]
async fn empty_requests_and_missing_tensors_are_refused() {
    let (_server, mut client) = start().await;
    assert_eq!(refused_fields(client.normalize(pb::NormalizeRequest::default()).await), ["input", "kind"]);
    let backward_of_nothing = client.normalize_backward(pb::NormalizeBackwardRequest::default()).await;
    assert_eq!(refused_fields(backward_of_nothing), ["input", "grad_output", "kind"]);
    assert_eq!(refused_fields(client.dropout(pb::DropoutRequest::default()).await), ["input", "p"]);
    let backward_of_nothing = client.dropout_backward(pb::DropoutBackwardRequest::default()).await;
    assert_eq!(refused_fields(backward_of_nothing), ["grad_output", "p"]);
    let clipping_of_nothing = client.clip_gradients(pb::ClipGradientsRequest::default()).await;
    assert_eq!(refused_fields(clipping_of_nothing), ["mode", "threshold"]);

    let good = f32s(&[2, 2], &[1.0; 4]);
    let request = pb::NormalizeRequest { input: None, ..normalize(NormKind::Layer, good.clone()) };
    assert_eq!(violation(client.normalize(request).await).0, "input");
    let request = pb::DropoutRequest { input: None, ..dropout(0.5, good.clone()) };
    assert_eq!(violation(client.dropout(request).await).0, "input");
    let request = pb::DropoutBackwardRequest { p: Some(0.5), ..Default::default() };
    assert_eq!(violation(client.dropout_backward(request).await).0, "grad_output");
    let request = pb::NormalizeBackwardRequest { input: None, ..backward(NormKind::Layer, good.clone(), good.clone()) };
    assert_eq!(violation(client.normalize_backward(request).await).0, "input");
    let request = pb::NormalizeBackwardRequest { grad_output: None, ..backward(NormKind::Layer, good.clone(), good) };
    assert_eq!(violation(client.normalize_backward(request).await).0, "grad_output");
}

/// Row 2.
#[tokio::test]
async fn dtypes_that_are_missing_or_unknown_are_refused() {
    is_refused_everywhere(tensor(DataType::Unspecified, &[1], vec![0; 4]), ".dtype").await;
    for dtype in [99, -1] {
        is_refused_everywhere(pb::Tensor { dtype, ..f32s(&[1], &[1.0]) }, ".dtype").await;
    }
}

/// Row 2.
#[tokio::test]
async fn kinds_modes_and_scalings_that_are_missing_or_unknown_are_refused() {
    let (_server, mut client) = start().await;
    let good = || f32s(&[2, 2], &[1.0; 4]);
    for kind in [0, 99, -1] {
        let request = pb::NormalizeRequest { kind, ..normalize(NormKind::Layer, good()) };
        assert_eq!(violation(client.normalize(request).await).0, "kind");
        let request = pb::NormalizeBackwardRequest { kind, ..backward(NormKind::Layer, good(), good()) };
        assert_eq!(violation(client.normalize_backward(request).await).0, "kind");
        let request = pb::ClipGradientsRequest { mode: kind, ..clip(ClipMode::Norm, 1.0, vec![good()]) };
        assert_eq!(violation(client.clip_gradients(request).await).0, "mode");
    }
    // 0 is dropout's default kind and scaling.
    for value in [99, -1] {
        let request = pb::DropoutRequest { kind: value, ..dropout(0.5, good()) };
        assert_eq!(violation(client.dropout(request).await).0, "kind");
        let request = pb::DropoutRequest { scaling: value, ..dropout(0.5, good()) };
        assert_eq!(violation(client.dropout(request).await).0, "scaling");
        let base = pb::DropoutBackwardRequest { p: Some(0.5), grad_output: Some(good()), ..Default::default() };
        let request = pb::DropoutBackwardRequest { kind: value, ..base.clone() };
        assert_eq!(violation(client.dropout_backward(request).await).0, "kind");
        let request = pb::DropoutBackwardRequest { scaling: value, ..base };
        assert_eq!(violation(client.dropout_backward(request).await).0, "scaling");
    }
}

/// Row 3.
#[tokio::test]
async fn negative_dimensions_are_refused() {
    is_refused_everywhere(f32s(&[2, 3, -4], &[]), ".shape[2]").await;
    is_refused_everywhere(f32s(&[-1], &[1.0]), ".shape[0]").await;
    // Two negative sizes have a positive product.
    let (_server, mut client) = start().await;
    let refused = refused_fields(client.dropout(dropout(0.5, f32s(&[-2, -2], &[1.0; 4]))).await);
    assert_eq!(refused, ["input.shape[0]", "input.shape[1]"]);
}

/// Row 4.
#[tokio::test]
async fn shapes_that_overflow_are_refused() {
    is_refused_everywhere(f32s(&[1 << 32, 1 << 32], &[]), ".shape").await;
    is_refused_everywhere(f32s(&[1 << 62], &[]), ".shape").await;
}

/// Row 5.
#[tokio::test]
async fn empty_tensors_with_enormous_rows_are_refused() {
    is_refused_everywhere(f32s(&[0, i64::MAX], &[]), ".shape").await;
    is_refused_everywhere(f32s(&[i64::MAX, 0], &[]), ".shape").await;
}

/// Row 6.
#[tokio::test]
async fn data_of_another_length_than_the_shape_is_refused() {
    for length in [15, 17, 0] {
        is_refused_everywhere(tensor(DataType::Float32, &[2, 2], vec![0; length]), ".data").await;
    }
}

/// Row 6.
#[tokio::test]
async fn a_wrong_length_is_answered_with_expected_and_given() {
    let (_server, mut client) = start().await;
    let request = dropout(0.5, tensor(DataType::Float16, &[2, 3], vec![0; 11]));
    let (field, reason) = violation(client.dropout(request).await);
    assert_eq!(field, "input.data");
    assert!(reason.contains("12 bytes") && reason.contains("11"), "{reason}");
}

/// Row 7.
#[tokio::test]
async fn a_rank_of_a_million_is_refused() {
    is_refused_everywhere(f32s(&vec![1; 1_000_000], &[1.0]), ".shape").await;
}

/// Row 7, at the limit.
#[tokio::test]
async fn rank_64_is_the_largest() {
    let (_server, mut client) = start().await;
    let answer = client.dropout(dropout(0.0, f32s(&[1; 64], &[1.0]))).await.expect("rank 64 is allowed");
    assert_eq!(answer.into_inner().output.expect("an answer has an output").shape, [1; 64]);
    assert_eq!(violation(client.dropout(dropout(0.0, f32s(&[1; 65], &[1.0]))).await).0, "input.shape");
}

/// Row 19.
#[tokio::test]
async fn data_and_float_data_together_are_refused() {
    let both = pb::Tensor { float_data: vec![1.0], ..f32s(&[1], &[1.0]) };
    is_refused_everywhere(both, ".float_data").await;
    // Refused also if the numbers of both together would be as many as the shape has.
    let half_and_half = pb::Tensor { float_data: vec![1.0], data: Bytes::from(vec![0; 4]), ..f32s(&[2], &[]) };
    is_refused_everywhere(half_and_half, ".float_data").await;
}

/// After each refusal, the next call is served.
#[tokio::test]
async fn a_refusal_leaves_the_connection_usable() {
    let (_server, mut client) = start().await;
    for _ in 0..100 {
        assert_eq!(violation(client.dropout(dropout(0.5, f32s(&[-1], &[]))).await).0, "input.shape[0]");
    }
    serves(&mut client).await;
}

async fn serves(client: &mut Client) {
    let answer = client.dropout(dropout(0.0, f32s(&[1], &[3.0]))).await.expect("it is a good request").into_inner();
    assert_eq!(answer.kept, 1);
}
