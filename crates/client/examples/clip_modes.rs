//! Clips gradients of several types by one norm, by value and each by its own norm; then in two parts, as two machines would
//! hold them; and at last with a gradient that is infinite.
//!
//! ```text
//! cargo run --example clip_modes -p evenkeel-client [URL]
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, error::Error};

use evenkeel_client::{Client, Clipped, Error as CallError, Tensor, half::bf16};
use ndarray::{Array1, Array2};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let client = Client::connect(url).await?;

    let embedding = Tensor::from(Array2::from_shape_fn((100, 16), |(i, j)| ((i * j) % 5) as f32 * 0.01));
    let head = Tensor::from(Array2::from_elem((16, 4), bf16::from_f32(0.5)));
    let bias = Tensor::from(Array1::from(vec![0.0_f64, -3.0, 0.5, 0.0]));
    let gradients = || [("embedding", embedding.clone()), ("head", head.clone()), ("bias", bias.clone())];

    print("one norm of 1", &client.clip_gradients(gradients()).by_norm(1.0).send().await?);
    print("values to 0.4", &client.clip_gradients(gradients()).by_value(0.4).send().await?);
    print("each to norm 1", &client.clip_gradients(gradients()).by_norm_per_tensor(1.0).send().await?);

    // Two machines with a part of the gradients each: both clip by the norm of all gradients, which one call gives here.
    let total_norm = client.clip_gradients(gradients()).by_norm(f64::INFINITY).send().await?.total_norm;
    for part in gradients().chunks(2) {
        let part = part.to_vec();
        print(
            "a part by the norm of all",
            &client.clip_gradients(part).by_norm(1.0).total_norm(total_norm).send().await?,
        );
    }

    let exploded = Array1::from(vec![1.0_f32, f32::INFINITY]);
    match client.clip_gradients([("exploded", exploded)]).by_norm(1.0).error_if_nonfinite(true).send().await {
        Err(CallError::NonFiniteNorm { total_norm, elements, .. }) => {
            println!("skip this step: the norm is {total_norm}, by gradients {:?}", elements.first);
        }
        other => return Err(format!("expected a norm that is not finite and got {other:?}").into()),
    }
    Ok(())
}

fn print(title: &str, clipped: &Clipped) {
    let Clipped { gradients, total_norm, scale, clipped_elements, tensor_norms } = clipped;
    println!("{title}: norm before {total_norm:.4}, factor {scale:.4}");
    if *clipped_elements > 0 {
        println!("  {clipped_elements} elements clamped");
    }
    if !tensor_norms.is_empty() {
        println!("  each norm before: {tensor_norms:.4?}");
    }
    for gradient in gradients {
        println!("  {:10} {} {:?}", gradient.name, gradient.tensor.dtype(), gradient.tensor.shape());
    }
}
