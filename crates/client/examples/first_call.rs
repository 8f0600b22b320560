//! A first call: the README shows it, and a test keeps the two alike.
//!
//! ```text
//! cargo run --example first_call -p evenkeel-client [URL]
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use evenkeel_client::{Client, NormKind};
use ndarray::array;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or("http://127.0.0.1:50051".into());
    let client = Client::connect(url).await?;
    let x = array![[40000.0_f32, 40001.0, 40002.0, 40003.0]];
    let y = client.normalize(&x).kind(NormKind::Layer).send().await?;
    println!("{}", y.output); // [[-1.3416355, -0.4472118, 0.4472118, 1.3416355]]
    Ok(())
}
