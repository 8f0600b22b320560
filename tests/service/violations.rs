//! Row 50: the answer to a call that is wrong in several ways names all of them.

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
    // The tensors are valid: all of these are found by the operation.
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
    // One tensor is invalid as well: both kinds of fault are named.
    let request = pb::NormalizeRequest { bias: Some(pb::Tensor { dtype: 99, ..short() }), kind: 7, ..request };
    assert_eq!(
        refused_fields(client.normalize(request).await),
        ["bias.dtype", "kind", "axes[0]", "axes[2]", "running_mean", "eps", "momentum",]
    );
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
    let refused = refused_fields(client.normalize_backward(request.clone()).await);
    assert_eq!(refused, ["grad_output.data", "channel_axis", "groups"]);
    // The shape and the dtype may be known of a tensor that cannot be decoded; they are checked.
    let double = pb::DataType::Float64.into();
    let grad_output = Some(pb::Tensor { dtype: double, shape: vec![24], ..short() });
    let request = pb::NormalizeBackwardRequest { input: Some(short()), grad_output, ..request };
    let expected =
        ["input.data", "grad_output.data", "channel_axis", "groups", "grad_output.shape", "grad_output.dtype"];
    assert_eq!(refused_fields(client.normalize_backward(request).await), expected);
}

/// A fault of one argument does not hide an independent fault of another.
#[tokio::test]
async fn a_wrong_argument_of_a_normalization_hides_no_other() {
    let (_server, mut client) = start().await;
    let five = || Some(f32s(&[5], &[1.0; 5]));
    let request = pb::NormalizeRequest {
        axes: vec![5, 1, -2],
        channel_axis: Some(7),
        momentum: Some(1e300),
        running_mean: five(),
        ..normalize(NormKind::Batch, input())
    };
    let axes = ["channel_axis", "axes[0]", "axes[2]", "running_var", "momentum"];
    for kind in [0, 77] {
        let request = pb::NormalizeRequest { kind, ..request.clone() };
        assert_eq!(refused_fields(client.normalize(request).await), [&["kind"], &axes[..]].concat());
    }
    let unreadable = [
        ("input.data", short()),
        ("input.dtype", pb::Tensor { dtype: 9, ..input() }),
        ("input.float_data", pb::Tensor { float_data: vec![1.0], ..input() }),
    ];
    for (field, input) in unreadable {
        let request = pb::NormalizeRequest { input: Some(input.clone()), ..request.clone() };
        assert_eq!(refused_fields(client.normalize(request.clone()).await), [&[field], &axes[..]].concat());
        let request = pb::NormalizeRequest {
            axes: vec![],
            channel_axis: None,
            weight: Some(pb::Tensor { dtype: 9, ..five().expect("it is there") }),
            bias: Some(pb::Tensor { data: vec![0; 3].into(), ..five().expect("it is there") }),
            groups: 2,
            ..request
        };
        let expected = [
            "weight.dtype",
            "bias.data",
            field,
            "groups",
            "running_var",
            "momentum",
            "weight.shape",
            "bias.shape",
            "running_mean.shape",
        ];
        assert_eq!(refused_fields(client.normalize(request).await), expected);
    }
    // Without a valid shape, nothing that depends on it is checked.
    let unknown = pb::Tensor { shape: vec![2, -4, 3], ..input() };
    let request = pb::NormalizeRequest {
        axes: vec![5, 1, 1],
        groups: 2,
        weight: Some(pb::Tensor { dtype: 9, ..five().expect("it is there") }),
        input: Some(unknown),
        ..normalize(NormKind::Layer, input())
    };
    let expected = ["weight.dtype", "input.shape[1]", "groups", "axes[2]"];
    assert_eq!(refused_fields(client.normalize(request).await), expected);
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
    assert_eq!(refused_fields(client.dropout(request).await), ["input.data", "kind", "scaling", "p", "channel_axis",]);
    for (channel_axis, offset, expected) in
        [(0, 0, &["channel_axis"][..]), (1, u64::MAX - 6, &["offset"]), (-2, 0, &[]), (-4, 0, &["channel_axis"])]
    {
        let channel_axis = Some(channel_axis);
        let wrong = |kind, input| pb::DropoutRequest {
            input: Some(input),
            kind,
            channel_axis,
            offset,
            ..dropout(0.5, short())
        };
        let unknown = client.dropout(wrong(9, input())).await;
        assert_eq!(refused_fields(unknown), [&["kind"], expected].concat());
        let unreadable = client.dropout(wrong(DropoutKind::Channel.into(), short())).await;
        assert_eq!(refused_fields(unreadable), [&["input.data"], expected].concat());
    }
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
    // Without a mode, nothing that depends on it is checked.
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

    // All faults of one partial are named, also beside faults elsewhere.
    let three = pb::NormPartial { elements: 1, nan_elements: 2, sum: vec![1; 600].into(), ..partial(-1.0, 1.0) };
    let ours = ["partials[0].norm_type", "partials[0].elements", "partials[0].largest", "partials[0].sum"];
    let message = pb::MeasureGradientsRequest { partials: vec![three], ..Default::default() };
    let of = |message: &pb::MeasureGradientsRequest| tokio_stream::iter([message.clone()]);
    assert_eq!(refused_fields(client.measure_gradients(of(&message)).await), ours);
    let message = pb::MeasureGradientsRequest { gradients: vec![short()], ..message };
    let expected = [&["gradients[0].data"], &ours[..]].concat();
    assert_eq!(refused_fields(client.measure_gradients(of(&message)).await), expected);
    let message = pb::MeasureGradientsRequest { norm_type: Some(3.0), ..message };
    let expected = [&["norm_type", "gradients[0].data"], &ours[1..]].concat();
    assert_eq!(refused_fields(client.measure_gradients(of(&message)).await), expected);
}

/// Numbers have the shortest form that reads back to the same value.
#[tokio::test]
async fn numbers_are_told_in_few_words() {
    let (_server, mut client) = start().await;
    let request = pb::ClipGradientsRequest { epsilon: Some(-5e-324), ..clip(ClipMode::Norm, -1e300, vec![]) };
    let status = refusal(client.clip_gradients(request).await, Code::InvalidArgument);
    assert_eq!(
        status.message(),
        "threshold: expected a number not below 0, got -1e300; epsilon: expected a finite number not below 0, got -5e-324"
    );
    let request = pb::NormalizeRequest {
        eps: Some(-1e300),
        momentum: Some(1e-300 - 1e10),
        ..normalize(NormKind::Layer, input())
    };
    let status = refusal(client.normalize(request).await, Code::InvalidArgument);
    assert_eq!(
        status.message(),
        "eps: expected a finite number not below 0, got -1e300; momentum: expected a number in [0, 1], got -10000000000"
    );
    let status = refusal(client.dropout(dropout(1e300, input())).await, Code::InvalidArgument);
    assert_eq!(status.message(), "p: expected a probability in [0, 1], got 1e300");
}

/// The list ends before the status would be too long, and the message says how many more violations there are.
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
