//! Clips gradients that live on three machines, each with a server of its own, by the norm of all of them; and shows
//! that every byte is the same as from one server that gets all gradients.
//!
//! ```text
//! cargo run --example sharded_clip -p evenkeel-client [URL URL URL]
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, error::Error};

use evenkeel_client::{Client, Clipped, NormPartial, half::bf16};
use ndarray::Array1;

const MAX_NORM: f64 = 1.0;

/// Gradients as a training step might leave them.
fn gradient() -> Array1<f32> {
    Array1::from_iter((0..3_000_000_u64).map(|i| ((i * i + 7 * i) % 2003) as f32 * 1e-5 - 0.01))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut urls: Vec<String> = env::args().skip(1).collect();
    if urls.is_empty() {
        urls.push("http://127.0.0.1:50051".to_owned());
    }
    let mut machines = Vec::new();
    for machine in 0..3 {
        // If there are fewer servers than machines, machines share them.
        machines.push(Client::connect(urls[machine % urls.len()].clone()).await?);
    }

    // One large gradient is cut anywhere; a small one, of another type, lives on the second machine alone.
    let (embedding, head) = (gradient(), Array1::from_elem(17, bf16::from_f32(0.25)));
    let cut = [0, 1_000_001, 1_999_998, embedding.len()];
    let part = |machine: usize| {
        let rows = embedding.slice(ndarray::s![cut[machine]..cut[machine + 1]]);
        let mut part = vec![("embedding", rows.into())];
        if machine == 1 {
            part.push(("head", evenkeel_client::Tensor::from(&head)));
        }
        part
    };

    // Each machine measures its own part and hands on some hundred bytes.
    let mut handed_on = Vec::new();
    for (machine, client) in machines.iter().enumerate() {
        let partial = client.measure_gradients(part(machine)).send().await?;
        println!("machine {machine}: {} elements of norm {}", partial.elements(), partial.total_norm());
        handed_on.push(partial.encode());
    }

    // They are merged in any order.
    let mut norm = NormPartial::decode(&handed_on[2])?;
    norm.merge(&NormPartial::decode(&handed_on[0])?)?;
    norm.merge(&NormPartial::decode(&handed_on[1])?)?;

    // Each machine clips its own part by the norm of all.
    let mut clipped = Vec::new();
    for (machine, client) in machines.iter().enumerate() {
        clipped
            .push(client.clip_gradients(part(machine)).by_norm(MAX_NORM).total_norm(norm.total_norm()).send().await?);
    }

    // One server gets all gradients.
    let whole = [("embedding", (&embedding).into()), ("head", evenkeel_client::Tensor::from(&head))];
    let whole = machines[0].clip_gradients(whole).by_norm(MAX_NORM).send().await?;
    println!("norm of all: {} in parts, {} at once", norm.total_norm(), whole.total_norm);

    let joined: Vec<u8> = clipped.iter().flat_map(|part| bytes_of(part, "embedding")).collect();
    let same = norm.total_norm().to_bits() == whole.total_norm.to_bits()
        && joined == bytes_of(&whole, "embedding")
        && bytes_of(&clipped[1], "head") == bytes_of(&whole, "head");
    println!("every byte is the same: {same}");
    if same { Ok(()) } else { Err("the parts differ from the whole".into()) }
}

/// The elements of a clipped gradient.
fn bytes_of(clipped: &Clipped, name: &str) -> Vec<u8> {
    let gradient = clipped.gradients.iter().find(|gradient| gradient.name == name);
    gradient.map_or_else(Vec::new, |gradient| gradient.tensor.clone().into_le_bytes().to_vec())
}
