//! Shows which elements each kind of dropout keeps, and that the parts of an array, sent apart, join to the whole.
//!
//! ```text
//! cargo run --example dropout_kinds -p evenkeel-client [URL]
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, error::Error};

use evenkeel_client::{Client, DropoutKind};
use ndarray::{Array1, Array3, concatenate, s};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let client = Client::connect(url).await?;

    let x = Array3::<f32>::ones((2, 3, 12));
    for kind in [DropoutKind::Element, DropoutKind::Channel, DropoutKind::Alpha, DropoutKind::FeatureAlpha] {
        let dropped = client.dropout(&x, 0.3, 42).kind(kind).return_mask(true).send().await?;
        let mask = dropped.mask.ok_or("the mask was asked for")?;
        let mean = dropped.output.mean().ok_or("the output is not empty")?;
        println!("{kind:?}: {} of {} elements kept, mean {mean:.3}", dropped.kept, x.len());
        for draws in mask.rows() {
            println!("  {}", draws.iter().map(|&kept| if kept { '#' } else { '.' }).collect::<String>());
        }
    }

    let long = Array1::from_iter((0..100_000).map(|i| i as f32));
    let whole = client.dropout(&long, 0.5, 7).send().await?;
    let first = client.dropout(long.slice(s![..33_333]), 0.5, 7).send().await?;
    let second = client.dropout(long.slice(s![33_333..]), 0.5, 7).offset(33_333).send().await?;
    let joined = concatenate![ndarray::Axis(0), first.output, second.output];
    println!("two parts join to the whole: {}", joined == whole.output);
    Ok(())
}
