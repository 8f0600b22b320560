//! Options that change the result: the epsilon of the norm, `not_above`, and the axis of the channels.

use evenkeel::config::ServerConfig;
use evenkeel_proto::v1 as pb;
use pb::{ClipMode, DataType, DropoutKind};

use crate::harness::{bits, clip, dropout, elements, f32s, start, start_with, tensor};

#[tokio::test]
async fn an_epsilon_is_added_to_the_norm() {
    for codec_path in [false, true] {
        let (_server, mut client) = start_with(ServerConfig { codec_path, ..ServerConfig::on_free_port() }).await;
        for (mode, epsilon, scale) in [
            (ClipMode::Norm, None, 1.0 / (5.0 + 1e-6)),
            (ClipMode::Norm, Some(0.0), 1.0 / 5.0),
            (ClipMode::Norm, Some(3.0), 1.0 / 8.0),
            (ClipMode::NormPerTensor, Some(0.0), 1.0 / 5.0),
        ] {
            let request = pb::ClipGradientsRequest { epsilon, ..clip(mode, 1.0, vec![f32s(&[2], &[3.0, 4.0])]) };
            let answer = client.clip_gradients(request).await.expect("it is right").into_inner();
            assert_eq!((answer.total_norm, answer.scale), (5.0, scale), "{mode:?} {epsilon:?}");
            let expected = [3.0, 4.0].map(|x: f64| (x * scale) as f32);
            assert_eq!(elements(answer.gradients.first()), expected, "{mode:?} {epsilon:?}");
        }
    }
}

/// Without `not_above`, rounding each element to nearest makes some of these norms larger than 1. The test computes in
/// float64, where squares of float32 values are exact, and the sum of two of them nearly so.
#[tokio::test]
async fn a_norm_that_is_held_is_not_above_the_threshold() {
    let (_server, mut client) = start().await;
    let squares =
        |gradient: Option<&pb::Tensor>| elements(gradient).iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
    let mut above = 0;
    for i in 1..40_u16 {
        let gradient = || vec![f32s(&[2], &[f32::from(i), 3.0])];
        let usual = pb::ClipGradientsRequest { epsilon: Some(0.0), ..clip(ClipMode::Norm, 1.0, gradient()) };
        let held = pb::ClipGradientsRequest { not_above: true, ..usual.clone() };
        let usual = client.clip_gradients(usual).await.expect("it is right").into_inner();
        above += usize::from(squares(usual.gradients.first()) > 1.0);
        let held = client.clip_gradients(held).await.expect("it is right").into_inner();
        assert!(squares(held.gradients.first()) <= 1.0, "{i}");
        assert_eq!(held.total_norm.to_bits(), usual.total_norm.to_bits(), "{i}");
        assert!(held.scale <= usual.scale && held.scale > 0.999_999_9 * usual.scale, "{i}");
    }
    assert!(above > 5, "{above} are above without it");
    // A gradient that is not above the threshold comes back bit for bit, although the default epsilon would scale it.
    let same = pb::ClipGradientsRequest { not_above: true, ..clip(ClipMode::Norm, 5.0, vec![f32s(&[2], &[3.0, 4.0])]) };
    let answer = client.clip_gradients(same).await.expect("it is right").into_inner();
    assert_eq!((answer.scale, bits(&elements(answer.gradients.first()))), (1.0, bits(&[3.0, 4.0])));
}

/// With the channels last, elements with the same last index are dropped together.
#[tokio::test]
async fn channels_may_be_on_any_axis_but_the_first() {
    for codec_path in [false, true] {
        let (_server, mut client) = start_with(ServerConfig { codec_path, ..ServerConfig::on_free_port() }).await;
        let (samples, places, channels) = (4_usize, 5_usize, 6_usize);
        let input = || f32s(&[4, 5, 6], &[1.0; 120]);
        let request = pb::DropoutRequest {
            kind: DropoutKind::Channel.into(),
            return_mask: true,
            channel_axis: Some(-1),
            ..dropout(0.5, input())
        };
        let answer = client.dropout(request.clone()).await.expect("it is right").into_inner();
        let first = pb::DropoutRequest { channel_axis: None, ..dropout(0.5, f32s(&[4, 6, 5], &[1.0; 120])) };
        let first = pb::DropoutRequest { kind: request.kind, return_mask: true, ..first };
        let on_axis_1 = client.dropout(first).await.expect("it is right").into_inner();
        assert_eq!((answer.kept, &answer.mask), (on_axis_1.kept, &on_axis_1.mask));
        let keeps = |draw: usize| answer.mask[draw / 8] >> (draw % 8) & 1 == 1;
        let expected: Vec<f32> = (0..samples * places * channels)
            .map(|i| if keeps(i / (places * channels) * channels + i % channels) { 2.0 } else { 0.0 })
            .collect();
        assert_eq!(elements(answer.output.as_ref()), expected);
        assert!(expected.contains(&0.0) && expected.contains(&2.0), "some are kept and some are not");

        let backward = pb::DropoutBackwardRequest {
            p: request.p,
            seed: request.seed,
            kind: request.kind,
            channel_axis: Some(2),
            grad_output: Some(input()),
            ..Default::default()
        };
        let gradient = client.dropout_backward(backward).await.expect("it is right").into_inner();
        assert_eq!(elements(gradient.grad_input.as_ref()), expected);
    }
}

/// Elements that are not finite are counted, and their gradients are named, with their index.
#[tokio::test]
async fn gradients_that_are_not_finite_are_named() {
    for codec_path in [false, true] {
        let (_server, mut client) = start_with(ServerConfig { codec_path, ..ServerConfig::on_free_port() }).await;
        let named = |name: &str, gradient| pb::Tensor { name: name.to_owned(), ..gradient };
        let infinite =
            tensor(DataType::Float16, &[2], [0x7C00_u16, 0xFC00].iter().flat_map(|x| x.to_le_bytes()).collect());
        let gradients = vec![
            named("a", f32s(&[2], &[1.0, 2.0])),
            named("b", f32s(&[3], &[f32::NAN, f32::INFINITY, f32::NAN])),
            infinite,
        ];
        let request = pb::ClipGradientsRequest { error_if_nonfinite: true, ..clip(ClipMode::Norm, 1.0, gradients) };
        let status = crate::harness::refusal(client.clip_gradients(request).await, tonic::Code::FailedPrecondition);
        let metadata = crate::harness::error_info(&status).metadata;
        let value = |key: &str| metadata.get(key).map(String::as_str);
        assert_eq!(value("nan_elements"), Some("2"));
        assert_eq!(value("infinite_elements"), Some("3"));
        assert_eq!(value("nonfinite_gradients"), Some("2"));
        assert_eq!((value("gradient_0"), value("gradient_1"), value("gradient_2")), (None, Some("b"), Some("")));
        assert!(
            status.message().contains("2 NaN and 3 infinite elements in gradients[1] \"b\"; gradients[2]"),
            "{status:?}"
        );
    }
}
