//! Statements of the proto's comments about special cases: each has a test.

use evenkeel_proto::v1 as pb;
use pb::{ClipMode, DataType, NormKind};

use crate::harness::{bits, clip, dropout, elements, f32s, normalize, start, violation};

fn ramp(shape: &[i64]) -> pb::Tensor {
    let len = shape.iter().product::<i64>();
    f32s(shape, &(0..len).map(|i| (i * 7 % 11) as f32).collect::<Vec<_>>())
}

/// `weight` and `bias` have the shape of the pooled axes in the order of the input's axes, whatever the order of `axes`.
#[tokio::test]
async fn weight_is_read_in_the_order_of_the_sorted_axes() {
    let (_server, mut client) = start().await;
    let request = |axes: &[i32], weight: &[i64]| pb::NormalizeRequest {
        axes: axes.to_vec(),
        weight: Some(ramp(weight)),
        bias: Some(ramp(weight)),
        ..normalize(NormKind::Layer, ramp(&[2, 3, 4]))
    };
    let sorted = client.normalize(request(&[1, 2], &[3, 4])).await.expect("it is right").into_inner();
    for axes in [[2, 1], [-1, 1], [2, -2]] {
        let other = client.normalize(request(&axes, &[3, 4])).await.expect("it is right").into_inner();
        assert_eq!((other.axes, other.output), (vec![1, 2], sorted.output.clone()), "{axes:?}");
        let swapped = pb::NormalizeRequest { bias: None, ..request(&axes, &[4, 3]) };
        let (field, reason) = violation(client.normalize(swapped).await);
        assert_eq!((&*field, &*reason), ("weight.shape", "expected [3, 4], got [4, 3]"), "{axes:?}");
    }
}

/// With running statistics an eps of 0 is allowed, also beside a variance of 0.
#[tokio::test]
async fn a_running_variance_of_0_with_an_eps_of_0_makes_infinities() {
    let (_server, mut client) = start().await;
    let request = pb::NormalizeRequest {
        eps: Some(0.0),
        running_mean: Some(f32s(&[2], &[1.0, 0.0])),
        running_var: Some(f32s(&[2], &[0.0, 4.0])),
        weight: Some(f32s(&[2], &[-1.0, 1.0])),
        ..normalize(NormKind::Batch, f32s(&[3, 2], &[1.0, 2.0, 3.0, 4.0, -1.0, 6.0]))
    };
    let output = client.normalize(request).await.expect("it is right").into_inner().output;
    let expected = [f32::NAN, 1.0, f32::NEG_INFINITY, 2.0, f32::INFINITY, 3.0];
    assert_eq!(bits(&elements(output.as_ref())), bits(&expected));
}

/// Without channels, the only valid number of groups is 1.
#[tokio::test]
async fn no_channels_are_one_group() {
    let (_server, mut client) = start().await;
    let request = |groups| pb::NormalizeRequest { groups, ..normalize(NormKind::Group, f32s(&[2, 0, 4], &[])) };
    let answer = client.normalize(request(1)).await.expect("it is right").into_inner();
    assert_eq!(answer.output.map(|output| output.shape), Some(vec![2, 0, 4]));
    for groups in [0, 2, 3] {
        assert_eq!(violation(client.normalize(request(groups)).await).0, "groups", "{groups}");
    }
}

/// `float_data` is float32: a float64 tensor in it has the precision of float32 on the wire, although float64 is
/// computed.
#[tokio::test]
async fn float_data_has_the_digits_of_float32() {
    let (_server, mut client) = start().await;
    let third = 1.0_f32 / 3.0;
    let typed = |numbers: Vec<f32>| pb::Tensor {
        dtype: DataType::Float64.into(),
        shape: vec![numbers.len() as i64],
        float_data: numbers,
        ..Default::default()
    };
    let answer = client.dropout(dropout(0.0, typed(vec![third]))).await.expect("it is right").into_inner();
    let output = answer.output.expect("an answer has an output");
    assert_eq!((output.dtype(), &output.float_data[..], output.data.len()), (DataType::Float64, &[third][..], 0));
    // The sum of squares, 2^30 + 1, is exact in float64 and not in float32.
    let request = clip(ClipMode::Norm, f64::INFINITY, vec![typed(vec![32768.0, 1.0])]);
    let answer = client.clip_gradients(request).await.expect("it is right").into_inner();
    assert_eq!(answer.total_norm, (2f64.powi(30) + 1.0).sqrt());
    assert_ne!(answer.total_norm, 32768.0);
}

/// The norm of the clipped gradients exceeds the threshold by at most half a unit of the dtype's last place; and
/// sometimes it does exceed it.
#[tokio::test]
async fn a_clipped_norm_exceeds_the_threshold_by_its_rounding_at_most() {
    let (_server, mut client) = start().await;
    let mut above = 0;
    for i in 1..200_u16 {
        let request = pb::ClipGradientsRequest {
            epsilon: Some(0.0),
            ..clip(ClipMode::Norm, 1.0, vec![f32s(&[3], &[f32::from(i), 3.0, 7.0])])
        };
        let answer = client.clip_gradients(request).await.expect("it is right").into_inner();
        // Squares of float32 are exact in float64; the sum of three and its root are right to some 2^-52.
        let squares = elements(answer.gradients.first()).iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
        assert!(squares.sqrt() <= 1.0 + 2f64.powi(-24) + 2f64.powi(-50), "{i}: {squares}");
        above += usize::from(squares.sqrt() > 1.0 + 2f64.powi(-50));
    }
    assert!(above > 20, "{above}");
}
