//! Normalizes the same small images in every way, and a batch twice to watch the running statistics move.
//!
//! ```text
//! cargo run --example normalize_kinds -p evenkeel-client [URL]
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, error::Error};

use evenkeel_client::{Client, NormKind, Tensor};
use ndarray::{Array1, Array4, Axis};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let client = Client::connect(url).await?;

    // Two images of four channels, 8 x 8; each channel is twice as bright as the one before.
    let images = Array4::from_shape_fn((2, 4, 8, 8), |(n, c, y, x)| ((n + 3 * y + 5 * x) % 7) as f32 * (1 << c) as f32);
    println!("{:10} {:12} {:>22} {:>22}", "kind", "pooled axes", "mean of each channel", "deviation of each");
    describe("(input)", &[], &images);
    for kind in NormKind::ALL {
        let call = client.normalize(&images).kind(kind);
        let call = if kind == NormKind::Group { call.groups(2) } else { call };
        let normalized = call.send().await?;
        describe(&format!("{kind:?}"), &normalized.axes, &normalized.output);
    }

    let mut mean = Tensor::from(Array1::<f32>::zeros(4));
    let mut var = Tensor::from(Array1::<f32>::ones(4));
    for step in 1..=2 {
        let call = client.normalize(&images).kind(NormKind::Batch).training(true).momentum(0.5);
        let normalized = call.running_statistics(&mean, &var).send().await?;
        mean = normalized.running_mean.ok_or("the running mean was sent")?;
        var = normalized.running_var.ok_or("the running variance was sent")?;
        let (mean, var) = (Array1::<f32>::try_from(mean.clone())?, Array1::<f32>::try_from(var.clone())?);
        println!("after step {step}: running mean {mean:.2}, running variance {var:.2}");
    }
    Ok(())
}

/// Prints mean and standard deviation of each channel.
fn describe(kind: &str, axes: &[usize], images: &Array4<f32>) {
    let statistic = |of: fn(&[f32]) -> f32| {
        let channels = images.axis_iter(Axis(1)).map(|channel| of(&channel.iter().copied().collect::<Vec<_>>()));
        channels.map(|value| format!("{value:5.2}")).collect::<Vec<_>>().join(" ")
    };
    let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
    let deviation = |values: &[f32]| {
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        (values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / values.len() as f32).sqrt()
    };
    println!("{kind:10} {:12} {:>22} {:>22}", format!("{axes:?}"), statistic(mean), statistic(deviation));
}
