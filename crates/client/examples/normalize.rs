//! Normalizes a row far from zero with a weight, and computes the gradients.
//!
//! ```text
//! cargo run --example normalize -p evenkeel-client [URL]
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, error::Error};

use evenkeel_client::{Client, NormKind};
use ndarray::{Array1, array};

/// Prints a name and numbers.
fn show<'a>(name: &str, values: impl IntoIterator<Item = &'a f32>) {
    let numbers: String = values.into_iter().map(|value| format!(" {value:.7}")).collect();
    println!("{name}{numbers}");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).unwrap_or("http://127.0.0.1:50051".into());
    let client = Client::connect(url).await?;
    let x = array![[40000.0_f32, 40001.0, 40002.0, 40003.0]];
    let weight = array![1.0_f32, 1.0, 1.0, 2.0];

    let call = client.normalize(&x).kind(NormKind::Layer).weight(&weight).eps(1e-6);
    let y = call.return_statistics(true).send().await?;
    show("output", &y.output);
    show("mean", &y.mean.ok_or("the statistics were asked for")?);
    show("rstd", &y.rstd.ok_or("the statistics were asked for")?);

    let grad_output = array![[1.0_f32, 0.0, 0.0, 0.0]];
    let call = client.normalize_backward(&x, &grad_output).kind(NormKind::Layer).weight(&weight).eps(1e-6);
    let gradients = call.send().await?;
    let grad_weight: Array1<f32> = gradients.grad_weight.ok_or("a weight was sent")?.try_into()?;
    show("grad_input", &gradients.grad_input);
    show("grad_weight", &grad_weight);
    Ok(())
}
