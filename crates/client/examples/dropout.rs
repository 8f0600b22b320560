//! Drops elements, computes the mask without the server, and drops a part and its gradient by the same draws.
//!
//! ```text
//! cargo run --example dropout -p evenkeel-client [URL]
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, error::Error};

use evenkeel_client::{Client, keep_mask};
use ndarray::{Array2, array, s};

/// Prints a name and numbers.
fn show<'a>(name: &str, values: impl IntoIterator<Item = &'a f32>) {
    let numbers: String = values.into_iter().map(|value| format!(" {value:.7}")).collect();
    println!("{name}{numbers}");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).unwrap_or("http://127.0.0.1:50051".into());
    let client = Client::connect(url).await?;
    let x = Array2::<f32>::ones((2, 8));

    let dropped = client.dropout(&x, 0.3, 42).return_mask(true).send().await?;
    show("output", &dropped.output);
    println!("kept {}", dropped.kept);
    let mask = keep_mask(42, x.len(), 0.3, 0)?;
    let same = dropped.mask.ok_or("the mask was asked for")?.into_iter().eq(mask);
    println!("same mask {}", if same { "yes" } else { "no" });

    let second = client.dropout(x.slice(s![1.., ..]), 0.3, 42).offset(8).send().await?;
    show("second row", &second.output);
    let grad_output = array![[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]];
    let grad_input = client.dropout_backward(&grad_output, 0.3, 42).offset(8).send().await?;
    show("grad_input", &grad_input);
    Ok(())
}
