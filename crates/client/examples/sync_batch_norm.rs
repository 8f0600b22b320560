//! One training step of a small network with batch normalization, whose batch lies on three machines, each with a server of its
//! own; and the same step by one server that gets the whole batch and the same statistics: every byte is the same.
//!
//! ```text
//! cargo run --example sync_batch_norm -p evenkeel-client [URL URL URL]
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, error::Error, ops::Range};

use evenkeel_client::{Client, NormKind, StatisticsPartial};
use ndarray::{Array1, Array2, Axis, s};

type Outcome<T> = Result<T, Box<dyn Error>>;

const SAMPLES: usize = 96;
const RATE: f32 = 0.1;

/// The samples of each machine.
const PARTS: [Range<usize>; 3] = [0..17, 17..64, 64..SAMPLES];

/// `relu(batch_norm(x @ first)) @ last`: one number for each sample.
struct Network {
    first: Array2<f32>,
    scale: Array1<f32>,
    shift: Array1<f32>,
    last: Array1<f32>,
}

/// The results of the forward pass for some samples.
struct Forward {
    /// The input of the normalization.
    hidden: Array2<f32>,
    normalized: Array2<f32>,
    /// The gradient of the loss, half the mean of the squared errors, with respect to `normalized`.
    grad_normalized: Array2<f32>,
}

impl Network {
    fn new() -> Self {
        let number = |i: usize| ((i * 7919 + 13) % 101) as f32 / 101.0 - 0.5;
        Self {
            first: Array2::from_shape_fn((6, 8), |(i, j)| number(8 * i + j)),
            scale: Array1::from_elem(8, 1.0),
            shift: Array1::from_elem(8, 0.1),
            last: Array1::from_shape_fn(8, |i| number(i + 100)),
        }
    }

    fn hidden(&self, x: &Array2<f32>) -> Array2<f32> {
        // Row by row, so that a sample's numbers do not depend on those beside it.
        let rows = x.axis_iter(Axis(0)).flat_map(|row| row.dot(&self.first).to_vec());
        Array2::from_shape_vec((x.nrows(), 8), rows.collect()).expect("eight for each sample")
    }

    /// The forward pass of some samples with statistics of all of them, and the gradient up to the normalization.
    async fn forward(
        &self,
        client: &Client,
        hidden: &Array2<f32>,
        target: &[f32],
        statistics: &StatisticsPartial,
    ) -> Outcome<Forward> {
        let call = client.normalize(hidden).kind(NormKind::Batch).weight(&self.scale).bias(&self.shift);
        let normalized = call.statistics(statistics).send().await?.output;
        let mut grad_normalized = normalized.clone();
        for (mut row, &target) in grad_normalized.axis_iter_mut(Axis(0)).zip(target) {
            let error = row.mapv(|y| y.max(0.0)).dot(&self.last) - target;
            row.zip_mut_with(&self.last, |y, &w| *y = if *y > 0.0 { error * w / SAMPLES as f32 } else { 0.0 });
        }
        Ok(Forward { hidden: hidden.clone(), normalized, grad_normalized })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let mut urls: Vec<String> = env::args().skip(1).collect();
    if urls.is_empty() {
        urls.push("http://127.0.0.1:50051".to_owned());
    }
    let mut machines = Vec::new();
    for machine in 0..PARTS.len() {
        // If there are fewer servers than machines, machines share them.
        machines.push(Client::connect(urls[machine % urls.len()].clone()).await?);
    }
    let network = Network::new();
    let x = Array2::from_shape_fn((SAMPLES, 6), |(i, j)| ((i * 31 + j * 17) % 23) as f32 / 7.0 - 1.5);
    let target: Vec<f32> = (0..SAMPLES).map(|i| (i % 5) as f32 / 5.0).collect();
    let hidden = network.hidden(&x);
    let part = |range: &Range<usize>| hidden.slice(s![range.clone(), ..]).to_owned();

    // Each machine measures its own samples and hands on some hundred bytes, which are merged in any order.
    let mut measured = Vec::new();
    for (client, range) in machines.iter().zip(&PARTS) {
        measured.push(client.measure_statistics(&part(range)).kind(NormKind::Batch).send().await?.encode());
    }
    let statistics = merged(&measured, [2, 0, 1])?;
    println!("statistics of {} samples, {} bytes from each machine", statistics.elements(), measured[0].len());

    let mut parts = Vec::new();
    for (client, range) in machines.iter().zip(&PARTS) {
        parts.push(network.forward(client, &part(range), &target[range.clone()], &statistics).await?);
    }

    // Each machine measures its samples with their gradients, for the backward pass.
    let mut measured = Vec::new();
    for (client, part) in machines.iter().zip(&parts) {
        let call = client.measure_statistics(&part.hidden).kind(NormKind::Batch);
        measured.push(call.grad_output(&part.grad_normalized).send().await?.encode());
    }
    let of_gradients = merged(&measured, [1, 2, 0])?;
    let mut grad_hidden = Vec::new();
    let (mut grad_scale, mut grad_shift) = (Array1::<f64>::zeros(8), Array1::<f64>::zeros(8));
    for (client, part) in machines.iter().zip(&parts) {
        let call = client.normalize_backward(&part.hidden, &part.grad_normalized).kind(NormKind::Batch);
        let call = call.weight(&network.scale).bias(&network.shift).statistics(&of_gradients);
        let gradients = call.send().await?;
        grad_hidden.push(gradients.grad_input);
        // The gradients of scale and shift are sums over the part: those of all machines add up.
        let number = |tensor: Option<evenkeel_client::Tensor>| -> Outcome<Array1<f64>> {
            let array: Array1<f32> = tensor.ok_or("a gradient is missing")?.try_into()?;
            Ok(array.mapv(f64::from))
        };
        grad_scale += &number(gradients.grad_weight)?;
        grad_shift += &number(gradients.grad_bias)?;
    }

    // One server gets the whole batch and the same statistics.
    let whole = network.forward(&machines[0], &hidden, &target, &statistics).await?;
    let call = machines[0].normalize_backward(&hidden, &whole.grad_normalized).kind(NormKind::Batch);
    let all = call.weight(&network.scale).statistics(&of_gradients).send().await?;

    let joined = |arrays: Vec<&Array2<f32>>| -> Vec<u32> {
        arrays.into_iter().flat_map(|array| array.iter().map(|x| x.to_bits()).collect::<Vec<_>>()).collect()
    };
    let same = joined(parts.iter().map(|part| &part.normalized).collect()) == joined(vec![&whole.normalized])
        && joined(grad_hidden.iter().collect()) == joined(vec![&all.grad_input]);

    // Scale and shift take one step of gradient descent.
    let step = |parameter: &Array1<f32>, gradient: &Array1<f64>| parameter - &gradient.mapv(|g| RATE * g as f32);
    let (scale, shift) = (step(&network.scale, &grad_scale), step(&network.shift, &grad_shift));
    println!("scale {:.5} to {:.5}, shift {:.5} to {:.5}", network.scale[0], scale[0], network.shift[0], shift[0]);
    println!("every byte is the same: {same}");
    if same { Ok(()) } else { Err("the parts differ from the whole".into()) }
}

/// The statistics that the machines handed on, merged in this order.
fn merged(measured: &[Vec<u8>], order: [usize; 3]) -> Outcome<StatisticsPartial> {
    let mut merged = StatisticsPartial::decode(&measured[order[0]])?;
    for part in &order[1..] {
        merged.merge(&StatisticsPartial::decode(&measured[*part])?)?;
    }
    Ok(merged)
}
