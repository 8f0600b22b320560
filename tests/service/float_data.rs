//! Tensors of `float_data` are answered with `float_data`, and names come back.

use evenkeel_proto::v1 as pb;
use pb::{ClipMode, DataType, NormKind};

use crate::harness::{clip, dropout, f32s, normalize, start};

fn typed(dtype: DataType, shape: &[i64], numbers: &[f32]) -> pb::Tensor {
    pb::Tensor { name: "x".to_owned(), dtype: dtype.into(), float_data: numbers.to_vec(), ..f32s(shape, &[]) }
}

fn is_typed(tensor: &Option<pb::Tensor>, elements: usize) -> bool {
    tensor.as_ref().is_some_and(|tensor| tensor.data.is_empty() && tensor.float_data.len() == elements)
}

#[tokio::test]
async fn a_typed_input_is_answered_in_numbers_only() {
    let (_server, mut client) = start().await;
    let input = typed(DataType::Unspecified, &[2, 2], &[1.0, 2.0, 3.0, 5.0]);
    let statistics = || Some(f32s(&[2], &[0.5; 2]));
    let request = pb::NormalizeRequest {
        training: Some(true),
        return_statistics: true,
        running_mean: statistics(),
        running_var: statistics(),
        ..normalize(NormKind::Batch, input.clone())
    };
    let answer = client.normalize(request).await.expect("it is allowed").into_inner();
    for tensor in [&answer.mean, &answer.rstd, &answer.running_mean, &answer.running_var] {
        assert!(is_typed(tensor, 2), "{tensor:?}");
    }
    let output = answer.output.expect("an answer has an output");
    assert_eq!((output.name.as_str(), output.dtype(), output.data.len()), ("x", DataType::Float32, 0));
    for (given, expected) in output.float_data.iter().zip([-1.0, -1.0, 1.0, 1.0]) {
        assert!((given - expected).abs() < 1e-4, "{output:?}");
    }

    let request = pb::NormalizeBackwardRequest {
        kind: NormKind::Batch.into(),
        weight: statistics(),
        bias: statistics(),
        input: Some(input.clone()),
        grad_output: Some(f32s(&[2, 2], &[1.0, 2.0, 3.0, 4.0])),
        ..Default::default()
    };
    let answer = client.normalize_backward(request).await.expect("it is allowed").into_inner();
    assert!(is_typed(&answer.grad_weight, 2) && is_typed(&answer.grad_bias, 2) && is_typed(&answer.grad_input, 4));
    assert_eq!(answer.grad_input.expect("checked above").name, "x");

    let answer = client.dropout(dropout(0.0, input.clone())).await.expect("it is allowed").into_inner();
    assert_eq!(answer.output.expect("an answer has an output").float_data, [1.0, 2.0, 3.0, 5.0]);
    let request = pb::DropoutBackwardRequest { p: Some(0.0), grad_output: Some(input), ..Default::default() };
    let answer = client.dropout_backward(request).await.expect("it is allowed").into_inner();
    assert_eq!(answer.grad_input.expect("an answer has a gradient").float_data, [1.0, 2.0, 3.0, 5.0]);
}

#[tokio::test]
async fn a_typed_weight_beside_binary_input_is_answered_in_bytes() {
    let (_server, mut client) = start().await;
    let request = pb::NormalizeRequest {
        weight: Some(typed(DataType::Bfloat16, &[2], &[2.0, 3.0])),
        return_statistics: true,
        ..normalize(NormKind::Layer, f32s(&[2, 2], &[1.0, 2.0, 3.0, 5.0]))
    };
    let answer = client.normalize(request).await.expect("it is allowed").into_inner();
    for tensor in [answer.mean, answer.rstd, answer.output] {
        let tensor = tensor.expect("it was asked for");
        assert!(tensor.float_data.is_empty() && !tensor.data.is_empty(), "{tensor:?}");
    }
}

#[tokio::test]
async fn each_gradient_is_answered_in_its_own_form() {
    let (_server, mut client) = start().await;
    let gradients = vec![typed(DataType::Float64, &[1], &[3.0]), f32s(&[1], &[4.0])];
    // A threshold that clips, and one that does not.
    for (threshold, expected) in [(2.5, [1.5, 2.0]), (10.0, [3.0, 4.0])] {
        let request = clip(ClipMode::Norm, threshold, gradients.clone());
        let answer = client.clip_gradients(request).await.expect("it is allowed").into_inner();
        let [first, second] = answer.gradients.as_slice() else { panic!("two gradients: {answer:?}") };
        assert_eq!((first.name.as_str(), first.dtype(), first.data.len()), ("x", DataType::Float64, 0));
        assert!((first.float_data[0] - expected[0]).abs() < 1e-5, "{first:?}");
        assert_eq!((second.float_data.len(), second.data.len()), (0, 4));
    }
}

/// Float16 has no 1 + 2^-11; the numbers must be rounded before anything is computed from them.
#[tokio::test]
async fn typed_numbers_are_rounded_to_the_dtype_first() {
    let (_server, mut client) = start().await;
    let number = 1.0 + f32::powi(2.0, -11);
    let request = clip(ClipMode::Norm, 10.0, vec![typed(DataType::Float16, &[1], &[number])]);
    let answer = client.clip_gradients(request).await.expect("it is allowed").into_inner();
    assert_eq!(answer.total_norm, 1.0);
    assert_eq!(answer.gradients[0].float_data, [1.0]);
}
