//! Clips two gradients by their common norm and by value, and refuses those whose norm is infinite.
//!
//! ```text
//! cargo run --example clip_gradients -p evenkeel-client [URL]
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, error::Error};

use evenkeel_client::{Client, Error as CallError};
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
    let (w, mut b) = (array![3.0_f32, 0.0], array![0.0_f32, 4.0]);

    let clipped = client.clip_gradients([("w", &w), ("b", &b)]).by_norm(1.0).send().await?;
    println!("total_norm {:.7}", clipped.total_norm);
    println!("scale {:.7}", clipped.scale);
    for gradient in clipped.gradients {
        show(&gradient.name, &Array1::<f32>::try_from(gradient.tensor)?);
    }

    let clamped = client.clip_gradients([("w", &w), ("b", &b)]).by_value(3.5).send().await?;
    println!("clipped_elements {}", clamped.clipped_elements);
    for gradient in clamped.gradients {
        show(&gradient.name, &Array1::<f32>::try_from(gradient.tensor)?);
    }

    b[0] = f32::INFINITY;
    let call = client.clip_gradients([("w", &w), ("b", &b)]).by_norm(1.0).error_if_nonfinite(true);
    match call.send().await {
        Err(CallError::NonFiniteNorm { elements, .. }) => {
            let names: String = elements.first.iter().map(|(_, name)| format!(" {name}")).collect();
            println!("skip this step:{names}");
            Ok(())
        }
        other => Err(format!("expected a norm that is not finite and got {other:?}").into()),
    }
}
