//! Every call with every option, against numbers that the test computes.

use evenkeel_client::{
    DropoutKind, DropoutScaling, Error, Gradient, NonFinite, NormKind, Tensor,
    half::{bf16, f16},
};
use ndarray::{Array1, Array2, Array3, ArrayD, Axis, Ix1, IxDyn, Zip, array};

use crate::{TestResult, start};

#[track_caller]
fn close<'a>(given: impl IntoIterator<Item = &'a f64>, expected: impl IntoIterator<Item = &'a f64>) {
    let (given, expected): (Vec<_>, Vec<_>) = (given.into_iter().collect(), expected.into_iter().collect());
    assert_eq!(given.len(), expected.len());
    for (&given, &expected) in given.into_iter().zip(expected) {
        assert!((given - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{given} is not {expected}");
    }
}

/// Rows of a matrix to mean 0 and variance 1, by the textbook.
fn layer_norm(x: &Array2<f64>, eps: f64) -> Array2<f64> {
    let mut y = x.clone();
    for mut row in y.rows_mut() {
        let n = row.len() as f64;
        let mean = row.sum() / n;
        let var = row.mapv(|x| (x - mean).powi(2)).sum() / n;
        row.mapv_inplace(|x| (x - mean) / (var + eps).sqrt());
    }
    y
}

fn sample(shape: (usize, usize)) -> Array2<f64> {
    Array2::from_shape_fn(shape, |(i, j)| ((7 * i + 3 * j) % 11) as f64 - 4.5)
}

#[tokio::test]
async fn layer_norm_with_weight_and_bias_of_other_types() -> TestResult {
    let (_server, client) = start().await?;
    let x = sample((5, 4));
    let weight = array![1.0_f32, 2.0, -0.5, 0.0];
    let bias = array![bf16::ONE, bf16::ZERO, bf16::NEG_ONE, bf16::ONE];
    let y = client
        .normalize(&x)
        .kind(NormKind::Layer)
        .eps(1e-3)
        .weight(&weight)
        .bias(&bias)
        .return_statistics(true)
        .send()
        .await?;

    let expected = layer_norm(&x, 1e-3) * weight.mapv(f64::from) + bias.mapv(|b| b.to_f64());
    close(&y.output, &expected);
    assert_eq!(y.axes, [1]);
    let mean: ArrayD<f64> = y.mean.ok_or("no mean")?;
    close(&mean, &x.mean_axis(Axis(1)).ok_or("no columns")?);
    assert_eq!(y.rstd.ok_or("no rstd")?.shape(), [5]);
    assert_eq!((y.running_mean, y.running_var), (None, None));
    Ok(())
}

#[tokio::test]
async fn rms_group_and_instance_take_their_options() -> TestResult {
    let (_server, client) = start().await?;
    let x = sample((6, 4));
    let y = client.normalize(&x).kind(NormKind::Rms).axes([-1]).eps(0.25).return_statistics(true).send().await?;
    let l2 = client.normalize(&x).kind(NormKind::L2).return_statistics(true).send().await?;
    let norm = x.map_axis(Axis(1), |row| row.mapv(|x| x * x).sum().sqrt());
    close(&l2.output, &(&x / &norm.view().insert_axis(Axis(1))));
    let rms = x.map_axis(Axis(1), |row| (row.mapv(|x| x * x).sum() / 4.0 + 0.25).sqrt());
    close(&y.output, &(&x / &rms.insert_axis(Axis(1))));
    assert_eq!(y.mean, None);

    // Channels last, two groups of two: each group is a layer of its own.
    let y = client.normalize(&x).kind(NormKind::Group).groups(2).channel_axis(-1).eps(0.0).send().await?;
    let as_rows = x.clone().into_shape_with_order((12, 2))?;
    close(&y.output, &layer_norm(&as_rows, 0.0).into_shape_with_order((6, 4))?);
    assert_eq!(y.axes, [1]);

    let x = x.into_shape_with_order((2, 3, 4))?;
    let y = client.normalize(&x).kind(NormKind::Instance).eps(1e-5).send().await?;
    let as_rows = x.into_shape_with_order((6, 4))?;
    close(&y.output, &layer_norm(&as_rows, 1e-5));
    assert_eq!(y.axes, [2]);
    Ok(())
}

#[tokio::test]
async fn batch_norm_updates_and_uses_running_statistics() -> TestResult {
    let (_server, client) = start().await?;
    let x = sample((6, 4));
    let (old_mean, old_var) = (Array1::<f64>::ones(4), Array1::<f32>::from_elem(4, 2.0));
    let batch = client.normalize(&x).kind(NormKind::Batch).momentum(0.25).running_statistics(&old_mean, &old_var);
    let y = batch.training(true).send().await?;

    let mean = x.mean_axis(Axis(0)).ok_or("no rows")?;
    let unbiased = x.var_axis(Axis(0), 1.0);
    let new_mean: Array1<f64> = y.running_mean.ok_or("no running mean")?.try_into()?;
    close(&new_mean, &(0.75 * &old_mean + 0.25 * &mean));
    let new_var: Array1<f32> = y.running_var.ok_or("no running variance")?.try_into()?;
    Zip::from(&new_var).and(&unbiased).for_each(|&new, &var| assert_eq!(new, (0.75 * 2.0 + 0.25 * var) as f32));

    // Without `training` the running statistics that were sent are used.
    let y = client.normalize(&x).kind(NormKind::Batch).eps(0.25).running_statistics(&old_mean, &old_var).send().await?;
    close(&y.output, &((&x - 1.0) / 1.5));
    assert_eq!((y.running_mean, y.running_var), (None, None));
    Ok(())
}

#[tokio::test]
async fn normalize_backward_agrees_with_the_formula() -> TestResult {
    let (_server, client) = start().await?;
    let (x, dy) = (sample((5, 4)), sample((4, 5)).reversed_axes().mapv(|x| x * x));
    let weight = array![1.0_f64, 2.0, -0.5, 3.0];
    let bias = Array1::from_elem(4, f16::ZERO);
    let call = client.normalize_backward(&x, &dy).kind(NormKind::Layer).eps(1e-3).weight(&weight).bias(&bias);
    let gradients = call.send().await?;

    let normalized = layer_norm(&x, 1e-3);
    let rstd = x.map_axis(Axis(1), |row| 1.0 / (row.var(0.0) + 1e-3).sqrt()).insert_axis(Axis(1));
    let g = &dy * &weight;
    let mean = |a: &Array2<f64>| a.mean_axis(Axis(1)).expect("rows are not empty").insert_axis(Axis(1));
    close(&gradients.grad_input, &(&rstd * (&g - &mean(&g) - &normalized * &mean(&(&g * &normalized)))));
    let grad_weight: Array1<f64> = gradients.grad_weight.ok_or("no gradient of the weight")?.try_into()?;
    close(&grad_weight, &(&dy * &normalized).sum_axis(Axis(0)));
    let grad_bias: Array1<f16> = gradients.grad_bias.ok_or("no gradient of the bias")?.try_into()?;
    assert_eq!(grad_bias, dy.sum_axis(Axis(0)).mapv(f16::from_f64));

    let gradients = client.normalize_backward(&x, &dy).kind(NormKind::Layer).send().await?;
    assert_eq!((gradients.grad_weight, gradients.grad_bias), (None, None));
    Ok(())
}

/// The first eight draws of `np.random.Philox(key=42)`, as 32-bit words.
const DRAWS: [u32; 8] =
    [0x4d62_880e, 0xd1f8_817d, 0x5cc8_797e, 0x3072_66b6, 0xf084_ed03, 0xde1f_04e7, 0x78cd_1e59, 0x6503_4a8e];

fn keeps(draw: usize, p: f64) -> bool {
    f64::from(DRAWS[draw]) >= (p * 2f64.powi(32)).ceil()
}

#[tokio::test]
async fn dropout_follows_the_stream_and_its_gradient_the_mask() -> TestResult {
    let (_server, client) = start().await?;
    let x = Array2::from_shape_fn((2, 4), |(i, j)| (4 * i + j + 1) as f32);
    for p in [0.0, 0.25, 0.3, 0.4, 0.9, 1.0] {
        let dropped = client.dropout(&x, p, 42).return_mask(true).send().await?;
        let mask = Array2::from_shape_fn((2, 4), |(i, j)| keeps(4 * i + j, p));
        let scaled = Zip::from(&x)
            .and(&mask)
            .map_collect(|&x, &kept| if kept { (f64::from(x) * (1.0 / (1.0 - p))) as f32 } else { 0.0 });
        assert_eq!(dropped.output, scaled, "p = {p}");
        assert_eq!(dropped.mask, Some(mask.clone().into_dyn()), "p = {p}");
        assert_eq!(dropped.kept, mask.iter().filter(|&&kept| kept).count() as u64, "p = {p}");

        let gradient = client.dropout_backward(&x, p, 42).send().await?;
        assert_eq!(gradient, scaled, "p = {p}");
    }
    assert_eq!(client.dropout(&x, 0.5, 42).send().await?.mask, None);
    Ok(())
}

#[tokio::test]
async fn dropout_takes_offset_scaling_and_kind() -> TestResult {
    let (_server, client) = start().await?;
    let x = Array1::from_shape_fn(5, |i| f16::from_f64(i as f64 + 1.0));
    let slice = client.dropout(&x, 0.4, 42).offset(3).scaling(DropoutScaling::None).send().await?;
    let expected = Array1::from_shape_fn(5, |i| if keeps(i + 3, 0.4) { x[i] } else { f16::ZERO });
    assert_eq!(slice.output, expected);
    let gradient = client.dropout_backward(&x, 0.4, 42).offset(3).scaling(DropoutScaling::None).send().await?;
    assert_eq!(gradient, expected);

    let images = Array3::from_elem((2, 3, 4), 1.0_f64);
    let channels = client.dropout(&images, 0.5, 42).kind(DropoutKind::Channel).return_mask(true).send().await?;
    let mask = Array2::from_shape_fn((2, 3), |(n, c)| keeps(3 * n + c, 0.5));
    assert_eq!(channels.mask, Some(mask.clone().into_dyn()));
    assert_eq!(channels.kept, 4 * mask.iter().filter(|&&kept| kept).count() as u64);
    let expected = Array3::from_shape_fn((2, 3, 4), |(n, c, _)| if mask[[n, c]] { 2.0 } else { 0.0 });
    assert_eq!(channels.output, expected);

    let last = client.dropout(&images, 0.5, 42).kind(DropoutKind::Channel).channel_axis(-1).return_mask(true);
    let (last, kept) = (last.send().await?, Array2::from_shape_fn((2, 4), |(n, c)| keeps(4 * n + c, 0.5)));
    assert_eq!(last.mask, Some(kept.clone().into_dyn()));
    assert_eq!(last.output, Array3::from_shape_fn((2, 3, 4), |(n, _, c)| if kept[[n, c]] { 2.0 } else { 0.0 }));
    let gradient = client.dropout_backward(&images, 0.5, 42).kind(DropoutKind::Channel).channel_axis(2);
    assert_eq!(gradient.send().await?, last.output);

    // alpha' = 1.758..., a = ((alpha'^2 p + 1)(1 - p))^-1/2: dropped elements all take one value, kept ones another.
    let (p, alpha) = (0.5, 1.758_099_340_847_376_6_f64);
    let a = 1.0 / ((alpha * alpha * p + 1.0) * (1.0 - p)).sqrt();
    let feature = client.dropout(&images, p, 42).kind(DropoutKind::FeatureAlpha).send().await?;
    let expected =
        Array3::from_shape_fn((2, 3, 4), |(n, c, _)| a * if mask[[n, c]] { 1.0 } else { -alpha } + a * alpha * p);
    close(&feature.output, &expected);
    let ones = Array1::from_elem(8, 1.0_f64);
    let every = client.dropout(&ones, p, 42).kind(DropoutKind::Alpha).send().await?;
    let expected = Array1::from_shape_fn(8, |i| a * if keeps(i, p) { 1.0 } else { -alpha } + a * alpha * p);
    close(&every.output, &expected);
    Ok(())
}

/// Three gradients of three types, of norms 3, 4 and 12, and so of norm 13 together.
fn gradients() -> Vec<(&'static str, Tensor)> {
    vec![
        ("embedding", Tensor::from(array![[3.0_f32, 0.0], [0.0, 0.0]])),
        ("bias", Tensor::from(array![bf16::from_f32(4.0)])),
        ("", Tensor::from(ndarray::arr0(-12.0_f64))),
    ]
}

#[tokio::test]
async fn gradients_are_clipped_by_one_norm() -> TestResult {
    let (_server, client) = start().await?;
    let clipped = client.clip_gradients(gradients()).by_norm(6.5).send().await?;
    assert_eq!(clipped.total_norm, 13.0);
    let scale = 6.5 / (13.0 + 1e-6);
    assert_eq!(clipped.scale, scale);
    let expected: Vec<Gradient> = vec![
        ("embedding", Tensor::from(array![[(3.0 * scale) as f32, 0.0], [0.0, 0.0]])).into(),
        ("bias", Tensor::from(array![bf16::from_f64(4.0 * scale)])).into(),
        ("", Tensor::from(ndarray::arr0(-12.0 * scale))).into(),
    ];
    assert_eq!(clipped.gradients, expected);
    assert_eq!(clipped.tensor_norms, [0.0; 0]);

    // Clipped gradients can be clipped again; below the threshold nothing changes.
    let again = client.clip_gradients(clipped.gradients).by_norm(100.0).send().await?;
    assert_eq!((again.scale, again.gradients), (1.0, expected));

    let largest = client.clip_gradients(gradients()).by_norm(1.0).norm_type(f64::INFINITY).send().await?;
    assert_eq!(largest.total_norm, 12.0);
    let given = client.clip_gradients(gradients()).by_norm(1.0).total_norm(99.0).send().await?;
    assert_eq!((given.total_norm, given.scale), (99.0, 1.0 / (99.0 + 1e-6)));
    Ok(())
}

#[tokio::test]
async fn gradients_are_clipped_by_value_and_by_each_norm() -> TestResult {
    let (_server, client) = start().await?;
    let clipped = client.clip_gradients(gradients()).by_value(3.5).send().await?;
    assert_eq!(clipped.clipped_elements, 2);
    assert_eq!(clipped.scale, 1.0);
    assert_eq!(clipped.gradients[2].tensor, Tensor::from(ndarray::arr0(-3.5_f64)));

    let clipped = client.clip_gradients(gradients()).by_norm(6.5).epsilon(0.0).send().await?;
    assert_eq!((clipped.total_norm, clipped.scale), (13.0, 0.5));
    let clipped = client.clip_gradients(gradients()).by_norm(13.0).not_above(true).send().await?;
    assert_eq!((clipped.total_norm, clipped.scale), (13.0, 1.0), "the exact norm is not above");

    let clipped = client.clip_gradients(gradients()).by_norm_per_tensor(3.5).send().await?;
    assert_eq!(clipped.tensor_norms, [3.0, 4.0, 12.0]);
    assert_eq!(clipped.scale, 3.5 / (12.0 + 1e-6));
    assert_eq!(clipped.gradients[0].tensor, gradients()[0].1);
    assert_eq!(clipped.gradients[2].tensor, Tensor::from(ndarray::arr0(-12.0 * 3.5 / (12.0 + 1e-6))));
    Ok(())
}

#[tokio::test]
async fn a_norm_that_is_not_finite_is_an_error_if_asked() -> TestResult {
    let (_server, client) = start().await?;
    let inputs = [(f32::INFINITY, f64::INFINITY), (f32::NAN, f64::NAN)];
    for (element, norm) in inputs {
        let bad = array![1.0, element];
        let error = client.clip_gradients([("w", &bad)]).by_norm(1.0).error_if_nonfinite(true).send().await;
        match error {
            Err(Error::NonFiniteNorm { message, total_norm, elements }) => {
                assert!(total_norm.to_bits() == norm.to_bits() && message.contains("\"w\""), "{message}");
                let (nan, infinite) = (u64::from(element.is_nan()), u64::from(element.is_infinite()));
                assert_eq!(elements, NonFinite { nan, infinite, gradients: 1, first: vec![(0, "w".to_owned())] });
            }
            other => panic!("{element}: {other:?}"),
        }
        let clipped = client.clip_gradients([("w", &bad)]).by_norm(1.0).send().await?;
        let view = clipped.gradients[0].tensor.view::<f32>().ok_or("not float32")?.into_dimensionality::<Ix1>()?;
        assert!(view[1].is_nan());
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_fine_everywhere() -> TestResult {
    let (_server, client) = start().await?;
    let empty = ArrayD::<f32>::zeros(IxDyn(&[3, 0, 2]));
    assert_eq!(client.normalize(&empty).kind(NormKind::Layer).send().await?.output, empty);
    assert_eq!(client.normalize_backward(&empty, &empty).kind(NormKind::Layer).send().await?.grad_input, empty);
    assert_eq!(client.dropout(&empty, 0.5, 1).return_mask(true).send().await?.output, empty);
    assert_eq!(client.dropout_backward(&empty, 0.5, 1).send().await?, empty);
    let clipped = client.clip_gradients(Vec::<Gradient>::new()).by_norm(1.0).send().await?;
    assert_eq!((clipped.total_norm, clipped.gradients), (0.0, Vec::new()));
    Ok(())
}
