//! Requests with extreme but valid values: they are answered, with the defined result.

use evenkeel_proto::v1 as pb;
use pb::{ClipMode, DataType, DropoutKind, NormKind};

use crate::harness::{bits, clip, dropout, elements, f32s, norm_kinds, normalize, start, tensor};

/// Row 13.
#[tokio::test]
async fn tensors_without_elements_come_back_empty_from_every_operation() {
    let (_server, mut client) = start().await;
    for shape in [[0, 4, 3], [2, 4, 0], [0, 4, 0]] {
        let empty = || pb::Tensor { name: "x".to_owned(), ..f32s(&shape, &[]) };
        let came_back = |tensor: Option<pb::Tensor>, what: &str| {
            assert_eq!(tensor.expect("the answer has the tensor"), empty(), "{what} {shape:?}");
        };
        for kind in norm_kinds() {
            let groups = if kind == NormKind::Group { 2 } else { 0 };
            let request = pb::NormalizeRequest { groups, ..normalize(kind, empty()) };
            let answer = client.normalize(request).await.expect("it is allowed").into_inner();
            came_back(answer.output, kind.as_str_name());
            let request = pb::NormalizeBackwardRequest {
                kind: kind.into(),
                groups,
                input: Some(empty()),
                grad_output: Some(empty()),
                ..Default::default()
            };
            let answer = client.normalize_backward(request).await.expect("it is allowed").into_inner();
            came_back(answer.grad_input, kind.as_str_name());
        }
        for kind in [DropoutKind::Element, DropoutKind::Channel, DropoutKind::Alpha, DropoutKind::FeatureAlpha] {
            let request = pb::DropoutRequest { kind: kind.into(), ..dropout(0.5, empty()) };
            let answer = client.dropout(request).await.expect("it is allowed").into_inner();
            assert_eq!(answer.kept, 0);
            came_back(answer.output, kind.as_str_name());
            let request = pb::DropoutBackwardRequest {
                p: Some(0.5),
                kind: kind.into(),
                grad_output: Some(empty()),
                ..Default::default()
            };
            let answer = client.dropout_backward(request).await.expect("it is allowed").into_inner();
            came_back(answer.grad_input, kind.as_str_name());
        }
        for mode in [ClipMode::Norm, ClipMode::Value, ClipMode::NormPerTensor] {
            let request = clip(mode, 1.0, vec![empty()]);
            let answer = client.clip_gradients(request).await.expect("it is allowed").into_inner();
            assert_eq!((answer.total_norm, answer.scale), (0.0, 1.0));
            came_back(answer.gradients.into_iter().next(), mode.as_str_name());
        }
    }
}

/// Row 14: a NaN or an infinity makes its own row NaN, and no other row.
#[tokio::test]
async fn nan_and_infinity_spoil_only_the_set_they_are_in() {
    let (_server, mut client) = start().await;
    let good = [1.0, 2.0, 3.0, 4.0];
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let rows = [good, [1.0, bad, 3.0, 4.0], good].concat();
        let request = normalize(NormKind::Layer, f32s(&[3, 4], &rows));
        let output = elements(client.normalize(request).await.expect("it is allowed").into_inner().output.as_ref());
        assert_eq!(bits(&output[4..8]), [f32::NAN.to_bits(); 4], "{bad}: the canonical NaN");
        assert_eq!(bits(&output[..4]), bits(&output[8..]));
        assert!(output[..4].iter().all(|x| x.is_finite()), "{output:?}");
    }
}

/// Row 14.
#[tokio::test]
async fn elements_that_are_kept_as_they_are_keep_their_bits() {
    let (_server, mut client) = start().await;
    let odd = [-0.0, f32::from_bits(1), -f32::MIN_POSITIVE / 2.0, 3e38, f32::MIN, 1.0];
    let request = clip(ClipMode::Norm, f64::INFINITY, vec![f32s(&[6], &odd)]);
    let answer = client.clip_gradients(request).await.expect("it is allowed").into_inner();
    assert_eq!(answer.scale, 1.0);
    assert_eq!(bits(&elements(answer.gradients.first())), bits(&odd));
    let answer = client.dropout(dropout(0.0, f32s(&[6], &odd))).await.expect("it is allowed").into_inner();
    assert_eq!(bits(&elements(answer.output.as_ref())), bits(&odd));
}

/// Row 14.
#[tokio::test]
async fn clipping_by_value_leaves_nan_and_clamps_infinity() {
    let (_server, mut client) = start().await;
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 0.5, -3.0, f32::from_bits(1)];
    let request = clip(ClipMode::Value, 1.0, vec![f32s(&[7], &odd)]);
    let answer = client.clip_gradients(request).await.expect("it is allowed").into_inner();
    assert_eq!(answer.clipped_elements, 3);
    let clipped = elements(answer.gradients.first());
    assert!(clipped[0].is_nan());
    assert_eq!(bits(&clipped[1..]), bits(&[1.0, -1.0, -0.0, 0.5, -1.0, f32::from_bits(1)]));
}

/// Row 14: the result is that of PyTorch, unless the request asks for an error.
#[tokio::test]
async fn a_norm_that_is_not_finite_spoils_the_gradients_in_a_defined_way() {
    let (_server, mut client) = start().await;
    let request = clip(ClipMode::Norm, 1.0, vec![f32s(&[2], &[1.0, f32::NAN]), f32s(&[1], &[2.0])]);
    let answer = client.clip_gradients(request).await.expect("it is allowed").into_inner();
    assert!(answer.total_norm.is_nan());
    assert!(answer.gradients.iter().all(|gradient| elements(Some(gradient)).iter().all(|x| x.is_nan())));

    let request = clip(ClipMode::Norm, 1.0, vec![f32s(&[2], &[1.0, f32::INFINITY]), f32s(&[1], &[-2.0])]);
    let answer = client.clip_gradients(request).await.expect("it is allowed").into_inner();
    assert_eq!((answer.total_norm, answer.scale), (f64::INFINITY, 0.0));
    let first = elements(answer.gradients.first());
    assert!(first[0] == 0.0 && first[1].is_nan(), "{first:?}");
    assert_eq!(elements(answer.gradients.last()), [0.0]);
}

/// Row 14: numbers whose squares do not fit float32.
#[tokio::test]
async fn enormous_float32_values_are_normalized_and_clipped_like_any_other() {
    let (_server, mut client) = start().await;
    let unit = [-1.341_640_8, -0.447_213_6, 0.447_213_6, 1.341_640_8];
    for scale in [1e30, 7e37] {
        let row = [scale, 2.0 * scale, 3.0 * scale, 4.0 * scale];
        let request = normalize(NormKind::Layer, f32s(&[4], &row));
        let output = elements(client.normalize(request).await.expect("it is allowed").into_inner().output.as_ref());
        for (given, expected) in output.iter().zip(unit) {
            assert!((given - expected).abs() < 1e-6, "{scale}: {output:?}");
        }
    }
    let request = clip(ClipMode::Norm, 1.0, vec![f32s(&[2], &[3e38, -3e38])]);
    let answer = client.clip_gradients(request).await.expect("it is allowed").into_inner();
    assert!((answer.total_norm / 2f64.sqrt() / f64::from(3e38_f32) - 1.0).abs() < 1e-15, "{}", answer.total_norm);
    let half = std::f32::consts::FRAC_1_SQRT_2;
    assert_eq!(elements(answer.gradients.first()), [half, -half]);
}

/// Row 14.
#[tokio::test]
async fn constant_rows_become_the_bias() {
    let (_server, mut client) = start().await;
    for constant in [0.0, 1.0, 1e30, 3e38, -40_000.3, f32::from_bits(1)] {
        let request = pb::NormalizeRequest {
            weight: Some(f32s(&[3], &[5.0, 6.0, 7.0])),
            bias: Some(f32s(&[3], &[0.25, -0.5, 0.0])),
            ..normalize(NormKind::Layer, f32s(&[2, 3], &[constant; 6]))
        };
        let output = elements(client.normalize(request).await.expect("it is allowed").into_inner().output.as_ref());
        assert_eq!(output, [0.25, -0.5, 0.0, 0.25, -0.5, 0.0], "{constant}");
    }
}

/// Row 18.
#[tokio::test]
async fn no_tensors_have_norm_0() {
    let (_server, mut client) = start().await;
    for mode in [ClipMode::Norm, ClipMode::Value, ClipMode::NormPerTensor] {
        let answer = client.clip_gradients(clip(mode, 1.0, Vec::new())).await.expect("it is allowed").into_inner();
        assert_eq!((answer.total_norm, answer.scale, answer.clipped_elements), (0.0, 1.0, 0));
        assert!(answer.gradients.is_empty() && answer.tensor_norms.is_empty());
    }
}

/// Row 18.
#[tokio::test]
async fn a_hundred_thousand_tensors_keep_names_and_order() {
    let (_server, mut client) = start().await;
    let gradients: Vec<_> = (0..100_000_u32)
        .map(|i| pb::Tensor { name: format!("layer.{i}.bias"), ..f32s(&[1], &[(i % 7) as f32]) })
        .collect();
    let norm = (0..100_000_u32).map(|i| f64::from(i % 7).powi(2)).sum::<f64>().sqrt();
    let answer = client.clip_gradients(clip(ClipMode::Norm, norm / 2.0, gradients)).await;
    let answer = answer.expect("it is allowed").into_inner();
    assert_eq!(answer.total_norm, norm);
    assert_eq!(answer.gradients.len(), 100_000);
    for (i, gradient) in answer.gradients.iter().enumerate() {
        assert_eq!(gradient.name, format!("layer.{i}.bias"));
        assert_eq!(elements(Some(gradient)), [((i % 7) as f64 * answer.scale) as f32]);
    }
}

/// Row 18.
#[tokio::test]
async fn gradients_of_every_dtype_share_one_norm() {
    let (_server, mut client) = start().await;
    // 3, 4, 12 and 84: the norm is 85.
    let gradients = vec![
        f32s(&[1], &[3.0]),
        tensor(DataType::Float64, &[1], 4f64.to_le_bytes().to_vec()),
        tensor(DataType::Float16, &[1], 0x4A00_u16.to_le_bytes().to_vec()),
        tensor(DataType::Bfloat16, &[1], 0x42A8_u16.to_le_bytes().to_vec()),
    ];
    let request = clip(ClipMode::Norm, 100.0, gradients.clone());
    let answer = client.clip_gradients(request).await.expect("it is allowed").into_inner();
    assert_eq!((answer.total_norm, answer.scale), (85.0, 1.0));
    assert_eq!(answer.gradients, gradients);
    let answer = client.clip_gradients(clip(ClipMode::Norm, 42.5, gradients)).await.expect("it is allowed");
    let answer = answer.into_inner();
    let dtypes: Vec<_> = answer.gradients.iter().map(pb::Tensor::dtype).collect();
    assert_eq!(dtypes, [DataType::Float32, DataType::Float64, DataType::Float16, DataType::Bfloat16]);
    assert_eq!(elements(answer.gradients.first()), [(3.0 * answer.scale) as f32]);
    assert_eq!(answer.gradients[1].data, (4.0 * answer.scale).to_le_bytes().to_vec());
}
