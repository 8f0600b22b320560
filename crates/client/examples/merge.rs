//! Measures gradients and a row in two parts, as two workers would, and computes one part by the measures of both.
//!
//! ```text
//! cargo run --example merge -p evenkeel-client [URL]
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, error::Error};

use evenkeel_client::{Client, NormKind, NormPartial, StatisticsPartial};
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

    let (here, there) = (array![3.0_f32], array![4.0_f32]);
    let sent = client.measure_gradients([("w", &there)]).send().await?.encode(); // from the other worker
    let mut norm = client.measure_gradients([("w", &here)]).send().await?;
    norm.merge(&NormPartial::decode(&sent)?)?;
    println!("total_norm {:.7}", norm.total_norm());
    println!("elements {}", norm.elements());
    let call = client.clip_gradients([("w", &here)]).by_norm(1.0).total_norm(norm.total_norm());
    for gradient in call.send().await?.gradients {
        show("clipped here", &Array1::<f32>::try_from(gradient.tensor)?);
    }

    let (first, second) = (array![[40000.0_f32, 40001.0]], array![[40002.0_f32, 40003.0]]);
    let sent = client.measure_statistics(&first).kind(NormKind::Layer).send().await?.encode(); // from the other worker
    let mut statistics = client.measure_statistics(&second).kind(NormKind::Layer).send().await?;
    statistics.merge(&StatisticsPartial::decode(&sent)?)?;
    let y = client.normalize(&second).kind(NormKind::Layer).statistics(&statistics).send().await?;
    show("normalized here", &y.output);
    Ok(())
}
