//! Trains the weight and the bias of a layer normalization by gradient descent until its output is a given target.
//!
//! ```text
//! cargo run --example normalize_backward -p evenkeel-client [URL]
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, error::Error};

use evenkeel_client::{Client, NormKind};
use ndarray::{Array1, Array2};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let client = Client::connect(url).await?;

    let x = Array2::from_shape_fn((32, 4), |(i, j)| ((13 * i + 7 * j * j) % 17) as f32);
    let (true_weight, true_bias) =
        (Array1::from(vec![0.5_f32, 2.0, -1.0, 3.0]), Array1::from(vec![1.0_f32, 0.0, 4.0, -2.0]));
    let layer = |weight: &Array1<f32>, bias: &Array1<f32>| {
        client.normalize(&x).kind(NormKind::Layer).weight(weight).bias(bias).send()
    };
    let target = layer(&true_weight, &true_bias).await?.output;

    let (mut weight, mut bias) = (Array1::<f32>::ones(4), Array1::<f32>::zeros(4));
    for step in 0..=60 {
        let output = layer(&weight, &bias).await?.output;
        let difference = output - &target;
        if step % 20 == 0 {
            let loss = difference.mapv(|d| d * d).mean().ok_or("the output is not empty")?;
            println!("step {step:2}: loss {loss:9.6}, weight {weight:6.3}, bias {bias:6.3}");
        }
        // The gradient of the mean square over the rows.
        let grad_output = difference * (2.0 / 32.0);
        let backward = client.normalize_backward(&x, grad_output).kind(NormKind::Layer);
        let gradients = backward.weight(&weight).bias(&bias).send().await?;
        let grad_weight: Array1<f32> = gradients.grad_weight.ok_or("a weight was sent")?.try_into()?;
        let grad_bias: Array1<f32> = gradients.grad_bias.ok_or("a bias was sent")?.try_into()?;
        weight.scaled_add(-0.2, &grad_weight);
        bias.scaled_add(-0.2, &grad_bias);
    }
    println!("target:  weight {true_weight:6.3}, bias {true_bias:6.3}");
    Ok(())
}
