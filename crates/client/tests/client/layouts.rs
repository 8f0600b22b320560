//! The same numbers come back for an array, whatever its type and layout, borrowed or owned.

use evenkeel_client::{
    Client, Element, NormKind,
    half::{bf16, f16},
};
use ndarray::{Array, Array3, ArrayD, ArrayView3, CowArray, Ix3, s};

use crate::{TestResult, start};

fn cube<A>(convert: impl Fn(f64) -> A) -> Array3<A> {
    Array3::from_shape_fn((3, 4, 5), |(i, j, k)| convert(((31 * i + 17 * j + 7 * k) % 23) as f64 - 8.0))
}

async fn normalize<'a, A: Element>(
    client: &Client,
    x: impl Into<CowArray<'a, A, Ix3>>,
) -> Result<Array3<A>, Box<dyn std::error::Error>> {
    Ok(client.normalize(x).kind(NormKind::Layer).send().await?.output)
}

#[tokio::test]
async fn a_view_is_worth_its_copy() -> TestResult {
    let (_server, client) = start().await?;
    let x = cube(|x| x as f32);
    let views: [ArrayView3<'_, f32>; 5] = [
        x.t(),
        x.slice(s![..;-1, .., ..;-1]),
        x.slice(s![1.., ..;3, ..]),
        x.view().permuted_axes([1, 0, 2]),
        x.slice(s![1..2, .., ..]),
    ];
    for view in views {
        let expected = normalize(&client, view.as_standard_layout().into_owned()).await?;
        assert_eq!(normalize(&client, view).await?, expected, "strides {:?}", view.strides());
        assert_eq!(normalize(&client, &view).await?, expected, "strides {:?}", view.strides());
        let dropped = client.dropout(view, 0.5, 1).send().await?.output;
        assert_eq!(dropped, client.dropout(view.as_standard_layout(), 0.5, 1).send().await?.output);
        let clipped = client.clip_gradients([("x", view)]).by_value(1.0).send().await?;
        let clipped: Array3<f32> = clipped.gradients[0].tensor.clone().try_into()?;
        assert_eq!(clipped, view.mapv(|x| x.clamp(-1.0, 1.0)));
    }
    Ok(())
}

#[tokio::test]
async fn owners_and_borrowers_get_the_same() -> TestResult {
    let (_server, client) = start().await?;
    let x = cube(|x| x);
    let expected = normalize(&client, &x).await?;
    assert_eq!(normalize(&client, x.view()).await?, expected);
    assert_eq!(normalize(&client, &x.to_shared()).await?, expected);
    assert_eq!(normalize(&client, x.clone()).await?, expected);
    assert_eq!(normalize(&client, x.clone().slice_move(s![..2, .., ..])).await?, expected.slice(s![..2, .., ..]));
    let dynamic: ArrayD<f64> = client.normalize(x.into_dyn()).kind(NormKind::Layer).send().await?.output;
    assert_eq!(dynamic, expected.into_dyn());
    Ok(())
}

/// The kernels compute in float64 and round once, so every type has the rounded values of float64.
#[tokio::test]
async fn every_type_is_rounded_once() -> TestResult {
    let (_server, client) = start().await?;
    let exact = normalize(&client, cube(|x| x)).await?;
    let layer = |x| normalize(&client, x);
    assert_eq!(layer(cube(|x| x as f32)).await?, exact.mapv(|y| y as f32));

    let half = normalize(&client, cube(f16::from_f64)).await?;
    let brain = normalize(&client, cube(bf16::from_f64)).await?;
    // Half a unit in the last place, in which binary16 has 11 bits and bfloat16 8.
    nearly(&half, &exact, f16::to_f64, 2f64.powi(-11));
    nearly(&brain, &exact, bf16::to_f64, 2f64.powi(-8));
    Ok(())
}

#[track_caller]
fn nearly<A: Element>(given: &Array3<A>, exact: &Array3<f64>, widen: impl Fn(A) -> f64, half_unit: f64) {
    for (&given, &exact) in given.iter().zip(exact) {
        let given = widen(given);
        assert!((given - exact).abs() <= half_unit * exact.abs(), "{given} is not {exact} rounded");
    }
}

#[tokio::test]
async fn scalars_and_many_dimensions_keep_their_type() -> TestResult {
    let (_server, client) = start().await?;
    let scalar = ndarray::arr0(-3.0_f32);
    assert_eq!(client.dropout(&scalar, 0.0, 0).send().await?.output, scalar);
    let six = Array::<f64, _>::from_shape_fn((2, 1, 2, 1, 2, 1), |(a, _, b, _, c, _)| (4 * a + 2 * b + c) as f64);
    assert_eq!(client.dropout(&six, 0.0, 0).send().await?.output, six);
    let slice: &[f32] = &[1.0, 2.0];
    assert_eq!(client.dropout(slice, 0.0, 0).send().await?.output.to_vec(), slice);
    Ok(())
}
