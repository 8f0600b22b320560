//! Norms in parts.

use evenkeel_client::{Error, Gradient, MergeError, NormPartial, Tensor, half::f16};
use ndarray::{Array1, array};

use crate::{TestResult, start};

/// More elements than a message holds, so that they are cut into pieces.
fn gradients() -> Vec<Gradient> {
    let large = Array1::from_iter((0..700_000_u32).map(|i| (i % 1009) as f32 * 0.37 - 99.5));
    let wide = Array1::from_iter((0..300_000_i32).map(|i| f64::from(i) * 10f64.powi(i % 200 - 100)));
    [
        ("large", Tensor::from(large)),
        ("half", array![[f16::MAX], [f16::MIN_POSITIVE]].into()),
        ("empty", Array1::<f32>::zeros(0).into()),
        ("wide", wide.into()),
    ]
    .map(Gradient::from)
    .to_vec()
}

#[tokio::test]
async fn a_norm_in_parts_is_the_norm_of_all() -> TestResult {
    let (_server, client) = start().await?;
    for norm_type in [1.0, 2.0, f64::INFINITY] {
        let whole = client.measure_gradients(gradients()).norm_type(norm_type).send().await?;
        assert_eq!((whole.norm_type(), whole.elements()), (norm_type, 1_000_002));
        let at_once = client.clip_gradients(gradients()).by_norm(1.0).norm_type(norm_type).send().await?;
        assert_eq!(whole.total_norm().to_bits(), at_once.total_norm.to_bits());

        let mut merged: Option<NormPartial> = None;
        for gradient in gradients().into_iter().rev() {
            let part = client.measure_gradients([gradient]).norm_type(norm_type).send().await?;
            let part = NormPartial::decode(&part.encode())?;
            match &mut merged {
                Some(merged) => merged.merge(&part)?,
                None => merged = Some(part),
            }
        }
        assert_eq!(merged, Some(whole));
    }
    Ok(())
}

#[tokio::test]
async fn what_is_not_finite_is_counted() -> TestResult {
    let (_server, client) = start().await?;
    let odd = client.measure_gradients([("odd", array![f32::NAN, f32::INFINITY, 1.0])]).send().await?;
    assert_eq!((odd.elements(), odd.nan_elements(), odd.infinite_elements()), (3, 1, 1));
    assert!(odd.total_norm().is_nan());
    let none = client.measure_gradients(Vec::<Gradient>::new()).send().await?;
    assert_eq!((none.elements(), none.total_norm()), (0, 0.0));
    Ok(())
}

#[tokio::test]
async fn what_does_not_fit_is_refused() -> TestResult {
    let (_server, client) = start().await?;
    match client.measure_gradients(gradients()).norm_type(3.0).send().await {
        Err(Error::InvalidArgument { violations, .. }) => assert_eq!(violations[0].field, "norm_type"),
        other => panic!("powers of 3 do not add up exactly: {other:?}"),
    }
    let one = client.measure_gradients(gradients()).norm_type(1.0).send().await?;
    let mut two = client.measure_gradients(gradients()).send().await?;
    assert_eq!(two.merge(&one), Err(MergeError::Orders { expected: 2.0, given: 1.0 }));

    assert!(NormPartial::decode(b"\xFF").is_err());
    let error = NormPartial::decode(b"").expect_err("order 0 is none");
    assert!(error.to_string().starts_with("not a norm partial: norm_type: expected 1, 2 or infinity"), "{error}");
    Ok(())
}
