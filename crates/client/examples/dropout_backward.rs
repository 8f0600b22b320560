//! Checks the gradient of a dropout against finite differences. The server makes the mask again from the seed.
//!
//! ```text
//! cargo run --example dropout_backward -p evenkeel-client [URL]
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, error::Error};

use evenkeel_client::Client;
use ndarray::Array1;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let client = Client::connect(url).await?;

    let (p, seed) = (0.4, 2024);
    let x = Array1::from_shape_fn(8, |i| i as f64 - 3.5);
    // The loss is the sum of the squares of what dropout leaves, so the gradient of its output is twice the output.
    let output = client.dropout(&x, p, seed).send().await?.output;
    let gradient = client.dropout_backward(2.0 * &output, p, seed).send().await?;

    println!("{:>3} {:>8} {:>12} {:>12}", "i", "x", "gradient", "difference");
    let step = 1e-6;
    for i in 0..x.len() {
        let mut losses = [0.0; 2];
        for (loss, sign) in losses.iter_mut().zip([1.0, -1.0]) {
            let mut moved = x.clone();
            moved[i] += sign * step;
            *loss = client.dropout(moved, p, seed).send().await?.output.mapv(|y| y * y).sum();
        }
        let difference = (losses[0] - losses[1]) / (2.0 * step);
        println!("{i:3} {:8.2} {:12.6} {difference:12.6}", x[i], gradient[i]);
    }
    Ok(())
}
