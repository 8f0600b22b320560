//! Responses that break the contract are errors that name the field, and never a panic.

use evenkeel_client::{Error, NormKind};
use evenkeel_proto::v1 as pb;
use ndarray::array;

use crate::{TestResult, fake::Fake};

/// A tensor that keeps the contract, for an input of two float32.
fn tensor() -> pb::Tensor {
    pb::Tensor { dtype: pb::DataType::Float32.into(), shape: vec![2], data: vec![0; 8].into(), ..Default::default() }
}

fn short() -> Option<pb::Tensor> {
    Some(pb::Tensor { data: vec![0; 7].into(), ..tensor() })
}

fn double() -> Option<pb::Tensor> {
    Some(pb::Tensor { dtype: pb::DataType::Float64.into(), data: vec![0; 16].into(), ..tensor() })
}

#[track_caller]
fn breaks<T: std::fmt::Debug>(result: Result<T, Error>, expected_field: &str) {
    match result {
        Err(error @ Error::Protocol { .. }) => {
            let text = error.to_string();
            let expected = format!("the server's answer breaks the contract: {expected_field} ");
            assert!(text.starts_with(&expected) && text.len() > expected.len(), "{text}");
        }
        other => panic!("expected a lie about {expected_field} to be found and got {other:?}"),
    }
}

#[tokio::test]
async fn normalize() -> TestResult {
    let scalar = |dtype: pb::DataType, bytes: usize| {
        Some(pb::Tensor { dtype: dtype.into(), data: vec![0; bytes].into(), ..Default::default() })
    };
    let one = || scalar(pb::DataType::Float32, 4);
    let honest = || pb::NormalizeResponse {
        axes: vec![0],
        output: Some(tensor()),
        mean: one(),
        rstd: one(),
        ..Default::default()
    };
    let lies = [
        ("output", pb::NormalizeResponse { output: None, ..honest() }),
        ("output.data", pb::NormalizeResponse { output: short(), ..honest() }),
        ("output.dtype", pb::NormalizeResponse { output: double(), ..honest() }),
        ("axes", pb::NormalizeResponse { axes: vec![-1], ..honest() }),
        ("axes", pb::NormalizeResponse { axes: vec![0, 1], ..honest() }),
        ("mean", pb::NormalizeResponse { mean: None, ..honest() }),
        ("mean.dtype", pb::NormalizeResponse { mean: scalar(pb::DataType::Float64, 8), ..honest() }),
        ("mean.shape", pb::NormalizeResponse { mean: Some(tensor()), ..honest() }),
        ("rstd.data", pb::NormalizeResponse { rstd: scalar(pb::DataType::Float32, 3), ..honest() }),
        ("running_mean.data", pb::NormalizeResponse { running_mean: short(), ..honest() }),
        ("running_var.dtype", pb::NormalizeResponse { running_var: double(), ..honest() }),
    ];
    for (field, lie) in lies {
        let answer = Box::new(move |_| Ok(lie.clone()));
        let client = Fake { normalize: answer, ..Fake::default() }.start().await?;
        let x = array![1.0_f32, 2.0];
        let call = client.normalize(&x).kind(NormKind::Batch).running_statistics(&x, &x).return_statistics(true);
        breaks(call.send().await, field);
    }
    let unasked = pb::NormalizeResponse { running_mean: Some(tensor()), mean: None, rstd: None, ..honest() };
    let client = Fake { normalize: Box::new(move |_| Ok(unasked.clone())), ..Fake::default() }.start().await?;
    breaks(client.normalize(array![1.0_f32, 2.0]).kind(NormKind::Batch).send().await, "running_mean");
    Ok(())
}

#[tokio::test]
async fn normalize_backward() -> TestResult {
    let honest = || pb::NormalizeBackwardResponse {
        grad_weight: Some(tensor()),
        grad_bias: Some(tensor()),
        grad_input: Some(tensor()),
    };
    let lies = [
        ("grad_input", pb::NormalizeBackwardResponse { grad_input: None, ..honest() }),
        ("grad_weight", pb::NormalizeBackwardResponse { grad_weight: None, ..honest() }),
        ("grad_bias.dtype", pb::NormalizeBackwardResponse { grad_bias: double(), ..honest() }),
    ];
    for (field, lie) in lies {
        let answer = Box::new(move |_| Ok(lie.clone()));
        let client = Fake { normalize_backward: answer, ..Fake::default() }.start().await?;
        let x = array![1.0_f32, 2.0];
        breaks(client.normalize_backward(&x, &x).kind(NormKind::Layer).weight(&x).bias(&x).send().await, field);
    }
    Ok(())
}

#[tokio::test]
async fn dropout() -> TestResult {
    let honest = || pb::DropoutResponse { kept: 2, mask: vec![3].into(), output: Some(tensor()) };
    let lies = [
        ("output.data", pb::DropoutResponse { output: short(), ..honest() }),
        ("mask", pb::DropoutResponse { mask: vec![3, 0].into(), ..honest() }),
        ("mask", pb::DropoutResponse { mask: vec![].into(), ..honest() }),
    ];
    for (field, lie) in lies {
        let client = Fake { dropout: Box::new(move |_| Ok(lie.clone())), ..Fake::default() }.start().await?;
        breaks(client.dropout(array![1.0_f32, 2.0], 0.5, 1).return_mask(true).send().await, field);
    }
    let backward = Box::new(|_| Ok(pb::DropoutBackwardResponse { grad_input: double() }));
    let client = Fake { dropout_backward: backward, ..Fake::default() }.start().await?;
    breaks(client.dropout_backward(array![1.0_f32, 2.0], 0.5, 1).send().await, "grad_input.dtype");
    Ok(())
}

#[tokio::test]
async fn clip_gradients() -> TestResult {
    let named = |name: &str| pb::Tensor { name: name.to_owned(), ..tensor() };
    let long = pb::Tensor { shape: vec![1, 2], ..named("b") };
    let lies = [
        ("gradients", vec![named("a")]),
        ("gradients", vec![named("a"), named("b"), named("c")]),
        ("gradients[0].name", vec![named("b"), named("a")]),
        ("gradients[1].shape", vec![named("a"), long]),
    ];
    for (field, gradients) in lies {
        let lie = pb::ClipGradientsResponse { gradients, ..Default::default() };
        let client = Fake { clip_gradients: Box::new(move |_| Ok(lie.clone())), ..Fake::default() }.start().await?;
        let x = array![1.0_f32, 2.0];
        breaks(client.clip_gradients([("a", &x), ("b", &x)]).by_norm(1.0).send().await, field);
    }
    Ok(())
}

#[tokio::test]
async fn measure_gradients() -> TestResult {
    let partial = || pb::NormPartial { norm_type: 2.0, elements: 1, ..Default::default() };
    let lies = [
        ("partial", None),
        ("partial.norm_type", Some(pb::NormPartial { norm_type: 3.0, ..partial() })),
        ("partial.elements", Some(pb::NormPartial { nan_elements: 2, ..partial() })),
        ("partial.largest", Some(pb::NormPartial { largest: f64::NAN, ..partial() })),
        ("partial.sum", Some(pb::NormPartial { sum: vec![1; 533].into(), ..partial() })),
    ];
    for (field, partial) in lies {
        let lie = pb::MeasureGradientsResponse { partial, ..Default::default() };
        let answer = Box::new(move |_| Ok(lie.clone()));
        let client = Fake { measure_gradients: answer, ..Fake::default() }.start().await?;
        breaks(client.measure_gradients([("w", array![1.0_f32])]).send().await, field);
    }
    Ok(())
}
