//! Arguments that do not fit the operation or the tensors: each refused by its own name.

use evenkeel_proto::v1 as pb;
use pb::{ClipMode, DataType, NormKind};
use tonic::Code;

use crate::harness::{
    Client, clip, dropout, elements, error_info, f32s, norm_kinds, normalize, refusal, refused_fields, start, violation,
};

/// A (2, 4, 3) input: two samples of four channels.
fn input() -> pb::Tensor {
    f32s(&[2, 4, 3], &std::array::from_fn::<f32, 24, _>(|i| i as f32))
}

/// The field that a Normalize is refused by; NormalizeBackward must refuse the same field.
async fn refused_field(client: &mut Client, request: pb::NormalizeRequest) -> String {
    let pb::NormalizeRequest {
        kind,
        axes,
        groups,
        eps,
        channel_axis,
        training,
        momentum,
        return_statistics,
        statistics,
        weight,
        bias,
        running_mean,
        running_var,
        input,
    } = request.clone();
    let backward = pb::NormalizeBackwardRequest {
        kind,
        axes,
        groups,
        eps,
        channel_axis,
        training,
        momentum,
        return_statistics,
        statistics,
        weight,
        bias,
        running_mean,
        running_var,
        input: input.clone(),
        grad_output: input,
    };
    let (field, _) = violation(client.normalize(request).await);
    assert_eq!(violation(client.normalize_backward(backward).await).0, field);
    field
}

/// Row 8.
#[tokio::test]
async fn axes_out_of_range_or_named_twice_are_refused() {
    let (_server, mut client) = start().await;
    for (axes, field) in [
        (vec![3], "axes[0]"),
        (vec![-4], "axes[0]"),
        (vec![1, i32::MAX], "axes[1]"),
        (vec![i32::MIN], "axes[0]"),
        (vec![1, 2, 1], "axes[2]"),
        (vec![-1, 2], "axes[1]"),
    ] {
        let request = pb::NormalizeRequest { axes: axes.clone(), ..normalize(NormKind::Layer, input()) };
        assert_eq!(refused_field(&mut client, request).await, field, "{axes:?}");
    }
    for channel_axis in [3, -4, i32::MIN] {
        let request = pb::NormalizeRequest { channel_axis: Some(channel_axis), ..normalize(NormKind::Batch, input()) };
        assert_eq!(refused_field(&mut client, request).await, "channel_axis");
    }
}

/// Row 9.
#[tokio::test]
async fn groups_that_do_not_divide_the_channels_are_refused() {
    let (_server, mut client) = start().await;
    for groups in [0, 3, 8, u32::MAX] {
        let request = pb::NormalizeRequest { groups, ..normalize(NormKind::Group, input()) };
        assert_eq!(refused_field(&mut client, request).await, "groups", "{groups}");
    }
    let request = pb::NormalizeRequest { groups: 2, ..normalize(NormKind::Layer, input()) };
    assert_eq!(refused_field(&mut client, request).await, "groups", "only GROUP has groups");
}

/// Row 10.
#[tokio::test]
async fn an_eps_that_is_no_small_number_is_refused() {
    let (_server, mut client) = start().await;
    for kind in norm_kinds() {
        for eps in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1e-5] {
            let groups = if kind == NormKind::Group { 2 } else { 0 };
            let request = pb::NormalizeRequest { eps: Some(eps), groups, ..normalize(kind, input()) };
            assert_eq!(refused_field(&mut client, request).await, "eps", "{kind:?} {eps}");
        }
    }
    let request = pb::NormalizeRequest { eps: Some(0.0), ..normalize(NormKind::Batch, input()) };
    assert_eq!(refused_field(&mut client, request).await, "eps", "batch statistics with eps 0");
}

/// Row 11.
#[tokio::test]
async fn parameters_of_another_shape_are_refused() {
    let (_server, mut client) = start().await;
    let wrong = || Some(f32s(&[5], &[1.0; 5]));
    let right = || Some(f32s(&[4], &[1.0; 4]));
    let base = || normalize(NormKind::Batch, input());
    for (field, request) in [
        ("weight.shape", pb::NormalizeRequest { weight: wrong(), ..base() }),
        ("weight.shape", pb::NormalizeRequest { weight: Some(f32s(&[4, 1], &[1.0; 4])), ..base() }),
        ("bias.shape", pb::NormalizeRequest { bias: wrong(), ..base() }),
        ("running_mean.shape", pb::NormalizeRequest { running_mean: wrong(), running_var: right(), ..base() }),
        ("running_var.shape", pb::NormalizeRequest { running_mean: right(), running_var: wrong(), ..base() }),
        ("weight.shape", pb::NormalizeRequest { weight: right(), ..normalize(NormKind::Layer, input()) }),
        ("bias.shape", pb::NormalizeRequest { bias: right(), ..normalize(NormKind::Rms, input()) }),
        ("weight", pb::NormalizeRequest { weight: right(), ..normalize(NormKind::L2, input()) }),
        ("bias", pb::NormalizeRequest { bias: right(), ..normalize(NormKind::L2, input()) }),
    ] {
        assert_eq!(refused_field(&mut client, request).await, field);
    }
}

/// Row 11, backward.
#[tokio::test]
async fn a_grad_output_unlike_the_input_is_refused() {
    let (_server, mut client) = start().await;
    let base =
        pb::NormalizeBackwardRequest { kind: NormKind::Layer.into(), input: Some(input()), ..Default::default() };
    let other_shape = Some(f32s(&[4, 2, 3], &[1.0; 24]));
    let request = pb::NormalizeBackwardRequest { grad_output: other_shape, ..base.clone() };
    assert_eq!(violation(client.normalize_backward(request).await).0, "grad_output.shape");
    let other_dtype = pb::Tensor { dtype: DataType::Bfloat16.into(), data: vec![0; 48].into(), ..input() };
    let request = pb::NormalizeBackwardRequest { grad_output: Some(other_dtype), ..base };
    assert_eq!(violation(client.normalize_backward(request).await).0, "grad_output.dtype");
}

/// Row 12.
#[tokio::test]
async fn statistics_that_cannot_be_had_are_refused() {
    let (_server, mut client) = start().await;
    let stats = || Some(f32s(&[4], &[1.0; 4]));
    let evaluation = pb::NormalizeRequest { training: Some(false), ..normalize(NormKind::Batch, input()) };
    assert_eq!(refused_fields(client.normalize(evaluation.clone()).await), ["running_mean", "running_var"]);
    let only_mean = pb::NormalizeRequest { running_mean: stats(), ..evaluation.clone() };
    assert_eq!(refused_field(&mut client, only_mean).await, "running_var");
    let only_var = pb::NormalizeRequest { running_var: stats(), ..evaluation };
    assert_eq!(refused_field(&mut client, only_var).await, "running_mean");
    let one_value = normalize(NormKind::Batch, f32s(&[1, 4], &[1.0; 4]));
    assert_eq!(refused_field(&mut client, one_value).await, "input.shape", "one value for each channel");
    let one_value = normalize(NormKind::Instance, f32s(&[2, 4, 1], &[1.0; 8]));
    assert_eq!(refused_field(&mut client, one_value).await, "input.shape", "one value for each sample and channel");
}

/// Row 15.
#[tokio::test]
async fn a_probability_outside_0_to_1_is_refused() {
    let (_server, mut client) = start().await;
    for p in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
        assert_eq!(violation(client.dropout(dropout(p, input())).await).0, "p", "{p}");
        let backward = pb::DropoutBackwardRequest { p: Some(p), grad_output: Some(input()), ..Default::default() };
        assert_eq!(violation(client.dropout_backward(backward).await).0, "p", "{p}");
    }
}

/// Row 15: dropping everything is allowed, and gives +0.0 whatever the element was.
#[tokio::test]
async fn a_probability_of_1_gives_positive_zeros() {
    let (_server, mut client) = start().await;
    let odd = [1.0, -1.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE / 2.0];
    let answer = client.dropout(dropout(1.0, f32s(&[7], &odd))).await.expect("p = 1 is allowed").into_inner();
    assert_eq!(answer.kept, 0);
    let output = elements(answer.output.as_ref());
    assert_eq!(output.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), [0; 7]);
}

/// Row 16.
#[tokio::test]
async fn thresholds_and_orders_that_are_no_norms_are_refused() {
    let (_server, mut client) = start().await;
    for mode in [ClipMode::Norm, ClipMode::Value, ClipMode::NormPerTensor] {
        for threshold in [f64::NAN, -1.0, f64::NEG_INFINITY] {
            let request = clip(mode, threshold, vec![input()]);
            assert_eq!(violation(client.clip_gradients(request).await).0, "threshold", "{mode:?} {threshold}");
        }
        for norm_type in [f64::NAN, 0.0, -2.0, f64::NEG_INFINITY] {
            let request = pb::ClipGradientsRequest { norm_type: Some(norm_type), ..clip(mode, 1.0, vec![input()]) };
            assert_eq!(violation(client.clip_gradients(request).await).0, "norm_type", "{mode:?} {norm_type}");
        }
    }
    let request = pb::ClipGradientsRequest { total_norm: Some(-1.0), ..clip(ClipMode::Norm, 1.0, vec![input()]) };
    assert_eq!(violation(client.clip_gradients(request).await).0, "total_norm");
    let request = pb::ClipGradientsRequest { total_norm: Some(1.0), ..clip(ClipMode::Value, 1.0, vec![input()]) };
    assert_eq!(violation(client.clip_gradients(request).await).0, "total_norm", "only NORM takes one");
}

/// Row 17.
#[tokio::test]
async fn a_norm_that_is_not_finite_is_an_error_on_request() {
    let (_server, mut client) = start().await;
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for mode in [ClipMode::Norm, ClipMode::Value, ClipMode::NormPerTensor] {
            let gradients = vec![input(), f32s(&[2], &[1.0, bad])];
            let request = pb::ClipGradientsRequest { error_if_nonfinite: true, ..clip(mode, 1.0, gradients) };
            let status = refusal(client.clip_gradients(request).await, Code::FailedPrecondition);
            assert_eq!(error_info(&status).reason, "NONFINITE_NORM", "{mode:?} {bad}");
        }
    }
}
