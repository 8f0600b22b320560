//! Row 50: a call that is wrong in several ways hears of all of them at once.

use evenkeel::config::ServerConfig;
use evenkeel_proto::v1 as pb;
use pb::{ClipMode, DropoutKind, DropoutScaling, NormKind};
use tonic::Code;

use crate::harness::{clip, dropout, f32s, normalize, refusal, refused_fields, start, start_with, violations};

fn input() -> pb::Tensor {
    f32s(&[2, 4, 3], &[1.0; 24])
}

fn short() -> pb::Tensor {
    f32s(&[2, 4, 3], &[1.0; 23])
}

#[tokio::test]
async fn all_wrong_arguments_of_a_normalization_are_named() {
    let (_server, mut client) = start().await;
    // The tensors are right: what is wrong is found by the operation.
    let request = pb::NormalizeRequest {
        axes: vec![5, 1, -2],
        groups: 3,
        eps: Some(-1.0),
        momentum: Some(2.0),
        weight: Some(f32s(&[5], &[1.0; 5])),
        running_var: Some(f32s(&[5], &[1.0; 5])),
        ..normalize(NormKind::Batch, input())
    };
    let expected =
        ["groups", "axes[0]", "axes[2]", "running_mean", "eps", "momentum", "weight.shape", "running_var.shape"];
    assert_eq!(refused_fields(client.normalize(request.clone()).await), expected);
    // One of them is not: so are both kinds of fault.
    let request = pb::NormalizeRequest { bias: Some(pb::Tensor { dtype: 99, ..short() }), kind: 7, ..request };
    assert_eq!(refused_fields(client.normalize(request).await), ["bias.dtype", "kind", "eps", "momentum"]);
    let request =
        pb::NormalizeRequest { input: Some(short()), eps: Some(f64::NAN), ..normalize(NormKind::Layer, input()) };
    assert_eq!(refused_fields(client.normalize(request).await), ["input.data", "eps"]);
}

#[tokio::test]
async fn all_wrong_arguments_of_its_backward_pass_are_named() {
    let (_server, mut client) = start().await;
    let request = pb::NormalizeBackwardRequest {
        kind: NormKind::Layer.into(),
        groups: 2,
        channel_axis: Some(1),
        input: Some(input()),
        grad_output: Some(f32s(&[24], &[1.0; 24])),
        ..Default::default()
    };
    let refused = refused_fields(client.normalize_backward(request.clone()).await);
    assert_eq!(refused, ["channel_axis", "groups", "grad_output.shape"]);
    let request = pb::NormalizeBackwardRequest { grad_output: Some(short()), ..request };
    let refused = refused_fields(client.normalize_backward(request).await);
    assert_eq!(refused, ["grad_output.data", "channel_axis", "groups"]);
}

#[tokio::test]
async fn all_wrong_arguments_of_a_dropout_are_named() {
    let (_server, mut client) = start().await;
    let base = pb::DropoutRequest {
        kind: DropoutKind::FeatureAlpha.into(),
        scaling: DropoutScaling::None.into(),
        channel_axis: Some(3),
        ..dropout(1.5, input())
    };
    let expected = ["p", "scaling", "channel_axis"];
    assert_eq!(refused_fields(client.dropout(base.clone()).await), expected);
    let backward = pb::DropoutBackwardRequest {
        p: base.p,
        kind: base.kind,
        scaling: base.scaling,
        channel_axis: base.channel_axis,
        grad_output: Some(input()),
        ..Default::default()
    };
    assert_eq!(refused_fields(client.dropout_backward(backward).await), expected);
    let request = pb::DropoutRequest { input: Some(short()), kind: 9, scaling: 9, ..base.clone() };
    assert_eq!(refused_fields(client.dropout(request).await), ["input.data", "kind", "scaling", "p"]);
    let request = pb::DropoutRequest { input: None, p: None, ..base };
    assert_eq!(refused_fields(client.dropout(request).await), ["input", "p", "scaling"]);
}

#[tokio::test]
async fn all_wrong_arguments_of_a_clipping_are_named() {
    let (_server, mut client) = start().await;
    let request = pb::ClipGradientsRequest {
        norm_type: Some(0.0),
        total_norm: Some(1.0),
        epsilon: Some(f64::INFINITY),
        not_above: true,
        ..clip(ClipMode::Value, -1.0, vec![input()])
    };
    let options = ["threshold", "norm_type", "total_norm", "epsilon", "epsilon", "not_above", "not_above"];
    assert_eq!(refused_fields(client.clip_gradients(request.clone()).await), options);
    let wrong = || vec![short(), input(), pb::Tensor { dtype: 0, ..short() }];
    let request = pb::ClipGradientsRequest { gradients: wrong(), ..request };
    let expected = [&["gradients[0].data", "gradients[2].dtype"][..], &options].concat();
    assert_eq!(refused_fields(client.clip_gradients(request.clone()).await), expected);
    // Without a mode nothing is said that depends on it.
    let request = pb::ClipGradientsRequest { mode: 0, threshold: None, ..request };
    let expected = [&["mode", "threshold", "gradients[0].data", "gradients[2].dtype"], &["norm_type", "epsilon"][..]];
    let refused = refused_fields(client.clip_gradients(request).await);
    assert_eq!(refused[..6], expected.concat());
    assert_eq!(refused[6..], ["not_above"], "beside a total_norm in every mode");

    let messages = [pb::MeasureGradientsRequest { gradients: wrong(), ..Default::default() }];
    let refused = refused_fields(client.measure_gradients(tokio_stream::iter(messages)).await);
    assert_eq!(refused, ["gradients[0].data", "gradients[2].dtype"]);
    let messages = [pb::MeasureGradientsRequest { norm_type: Some(3.0), gradients: wrong(), ..Default::default() }];
    let refused = refused_fields(client.measure_gradients(tokio_stream::iter(messages)).await);
    assert_eq!(refused, ["norm_type", "gradients[0].data", "gradients[2].dtype"]);
    let partial = |largest, norm_type| pb::NormPartial { largest, norm_type, ..Default::default() };
    let partials = vec![partial(0.0, 2.0), partial(1.0, 2.0), partial(0.0, 1.0), partial(0.0, 7.0)];
    let messages = [pb::MeasureGradientsRequest { partials, ..Default::default() }];
    let refused = refused_fields(client.measure_gradients(tokio_stream::iter(messages)).await);
    assert_eq!(refused, ["partials[1].largest", "partials[2].norm_type", "partials[3].norm_type"]);
}

/// The list ends where a status would be too long, and the words say how many more there are.
#[tokio::test]
async fn more_violations_than_fit_are_counted() {
    for codec_path in [false, true] {
        let (_server, mut client) = start_with(ServerConfig { codec_path, ..ServerConfig::on_free_port() }).await;
        let many = vec![short(); 1000];
        let status = refusal(client.clip_gradients(clip(ClipMode::Norm, -1.0, many)).await, Code::InvalidArgument);
        let named = status.message().matches("expected 96 bytes and got 92").count();
        assert!(named >= 3, "{status:?}");
        assert!(status.message().ends_with(&format!("; and {} more", 1001 - named)), "{}", status.message());
        let listed = violations(Err::<(), _>(status));
        assert!((10..1000).contains(&listed.len()), "{listed:?}");
        assert!(listed[9].starts_with("gradients[9].data: "), "{listed:?}");
    }
}

#[tokio::test]
async fn hints_tell_what_was_forgotten() {
    let (_server, mut client) = start().await;
    let no_elements = pb::Tensor { data: vec![].into(), ..input() };
    assert_eq!(
        violations(client.dropout(dropout(0.5, no_elements)).await),
        [
            "input.data: expected 96 bytes and got 0, for float32 of shape [2, 4, 3]; neither `data` nor `float_data` is set"
        ]
    );
    let no_shape = pb::Tensor { shape: vec![], float_data: vec![1.0, 2.0], ..Default::default() };
    assert_eq!(
        violations(client.dropout(dropout(0.5, no_shape)).await),
        ["input.float_data: expected 1 numbers and got 2, for float32 of shape []; `shape` is empty: 1 element"]
    );
}
