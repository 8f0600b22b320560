//! The same request has the same answer, to the byte: with any number of threads, alone or beside other calls, in one
//! message or in many. (The instruction sets are compared in the kernels' own tests, where one can be forced.)

use evenkeel::{config::ServerConfig, server::Running};
use evenkeel_proto::v1 as pb;
use pb::{ClipMode, DataType, DropoutKind, NormKind};
use prost::Message as _;

use crate::harness::{Client, clip, dropout, normalize, start_with, tensor};

/// A request of any method.
#[derive(Clone)]
enum Call {
    Normalize(pb::NormalizeRequest),
    NormalizeBackward(pb::NormalizeBackwardRequest),
    Dropout(pb::DropoutRequest),
    DropoutBackward(pb::DropoutBackwardRequest),
    Clip(pb::ClipGradientsRequest),
    Measure(Vec<pb::MeasureGradientsRequest>),
}

impl Call {
    /// The answer's bytes.
    async fn send(&self, client: &mut Client) -> Vec<u8> {
        let answer = match self.clone() {
            Self::Normalize(request) => client.normalize(request).await.map(|it| it.get_ref().encode_to_vec()),
            Self::NormalizeBackward(request) => {
                client.normalize_backward(request).await.map(|it| it.get_ref().encode_to_vec())
            }
            Self::Dropout(request) => client.dropout(request).await.map(|it| it.get_ref().encode_to_vec()),
            Self::DropoutBackward(request) => {
                client.dropout_backward(request).await.map(|it| it.get_ref().encode_to_vec())
            }
            Self::Clip(request) => client.clip_gradients(request).await.map(|it| it.get_ref().encode_to_vec()),
            Self::Measure(messages) => {
                let messages = tokio_stream::iter(messages);
                client.measure_gradients(messages).await.map(|it| it.get_ref().encode_to_vec())
            }
        };
        answer.expect("the request is right")
    }
}

/// Numbers that all differ: most of one scale, and one in 256 a thousand times as large.
fn noise(dtype: DataType, shape: &[i64], seed: u64) -> pb::Tensor {
    let mut state = seed;
    let len = shape.iter().product::<i64>();
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let x = (state >> 33) as f64 / f64::from(1u32 << 28) - 4.0;
        if state >> 20 & 0xFF == 0 { x * 1e3 } else { x }
    };
    let data = (0..len).flat_map(|_| {
        let x = next();
        match dtype {
            DataType::Float64 => x.to_le_bytes().to_vec(),
            DataType::Float16 => half::f16::from_f64(x).to_le_bytes().to_vec(),
            DataType::Bfloat16 => half::bf16::from_f64(x).to_le_bytes().to_vec(),
            DataType::Float32 | DataType::Unspecified => (x as f32).to_le_bytes().to_vec(),
        }
    });
    tensor(dtype, shape, data.collect())
}

/// Calls of every method, most of them large enough for several threads.
fn calls() -> Vec<Call> {
    use DataType::{Bfloat16, Float16, Float32, Float64};
    let mut calls = Vec::new();
    for (kind, dtype, shape) in [
        (NormKind::Layer, Float32, vec![200, 1001]),
        (NormKind::Layer, Float64, vec![2, 70_001]),
        (NormKind::Rms, Bfloat16, vec![150, 1024]),
        (NormKind::L2, Float32, vec![60, 33, 70]),
        (NormKind::L2, Float64, vec![150, 1024]),
        (NormKind::Batch, Float32, vec![8, 6, 50, 51]),
        (NormKind::Batch, Float64, vec![30_000, 5]),
        (NormKind::Instance, Float16, vec![3, 4, 113, 127]),
        (NormKind::Group, Float32, vec![3, 8, 61, 67]),
    ] {
        let groups = if kind == NormKind::Group { 4 } else { 0 };
        let affine = if matches!(kind, NormKind::Layer | NormKind::Rms) { shape[shape.len() - 1] } else { shape[1] };
        let weight = Some(noise(Float32, &[affine], 3)).filter(|_| kind != NormKind::L2);
        let input = noise(dtype, &shape, 1);
        let forward = pb::NormalizeRequest { groups, weight, return_statistics: true, ..normalize(kind, input) };
        calls.push(Call::NormalizeBackward(pb::NormalizeBackwardRequest {
            kind: forward.kind,
            groups,
            weight: forward.weight.clone(),
            input: forward.input.clone(),
            grad_output: Some(noise(dtype, &shape, 2)),
            ..Default::default()
        }));
        calls.push(Call::Normalize(forward));
    }
    for kind in [DropoutKind::Element, DropoutKind::Channel, DropoutKind::Alpha, DropoutKind::FeatureAlpha] {
        let input = noise(Float32, &[40, 30, 101], 4);
        let (p, seed, offset, kind) = (0.3, 9, 5, kind.into());
        let grad_output = Some(input.clone());
        calls.push(Call::DropoutBackward(pb::DropoutBackwardRequest {
            p: Some(p),
            seed,
            offset,
            kind,
            grad_output,
            ..Default::default()
        }));
        calls.push(Call::Dropout(pb::DropoutRequest { seed, offset, kind, return_mask: true, ..dropout(p, input) }));
    }
    let gradients = || vec![noise(Float32, &[100_003], 5), noise(Float16, &[17], 6), noise(Float64, &[301, 99], 7)];
    for mode in [ClipMode::Norm, ClipMode::Value, ClipMode::NormPerTensor] {
        for norm_type in [1.0, 2.0, 2.5, f64::INFINITY] {
            let request = clip(mode, 1.5, gradients());
            calls.push(Call::Clip(pb::ClipGradientsRequest { norm_type: Some(norm_type), ..request }));
        }
    }
    calls.push(Call::Measure(vec![pb::MeasureGradientsRequest { gradients: gradients(), ..Default::default() }]));
    calls
}

async fn server(threads: usize) -> (Running, Client) {
    start_with(ServerConfig { threads, ..ServerConfig::on_free_port() }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_and_neighbours_change_nothing() {
    let calls = calls();
    let mut expected = Vec::new();
    let (_one, mut client) = server(1).await;
    for call in &calls {
        expected.push(call.send(&mut client).await);
    }
    for threads in [1, 2, 3, 16] {
        let (_server, mut client) = server(threads).await;
        for (index, (call, expected)) in calls.iter().zip(&expected).enumerate() {
            assert!(call.send(&mut client).await == *expected, "call {index}, alone on {threads} threads");
        }
        // All at once, on one connection.
        let together = calls.iter().cloned().map(|call| {
            let mut client = client.clone();
            tokio::spawn(async move { call.send(&mut client).await })
        });
        for (index, (answer, expected)) in together.collect::<Vec<_>>().into_iter().zip(&expected).enumerate() {
            let answer = answer.await.expect("the call is answered");
            assert!(answer == *expected, "call {index}, beside the others on {threads} threads");
        }
    }
}

/// The bytes of some rows of a tensor of two dimensions, as a tensor.
fn rows(of: &pb::Tensor, from: i64, to: i64) -> pb::Tensor {
    let bytes = of.data.len() / of.shape[0] as usize;
    pb::Tensor {
        shape: vec![to - from, of.shape[1]],
        data: of.data.slice(from as usize * bytes..to as usize * bytes),
        ..of.clone()
    }
}

const CUTS: [i64; 5] = [0, 1, 17, 18, 64];

/// Normalizing rows, and dropping elements, in many calls gives the same bytes as in one call.
#[tokio::test]
async fn one_message_or_many() {
    let (_server, mut client) = server(2).await;
    for dtype in [DataType::Float32, DataType::Float64, DataType::Float16, DataType::Bfloat16] {
        let whole = noise(dtype, &[64, 777], 8);
        for kind in [NormKind::Layer, NormKind::Rms, NormKind::L2] {
            let output = |answer: tonic::Response<pb::NormalizeResponse>| answer.into_inner().output;
            let at_once = output(client.normalize(normalize(kind, whole.clone())).await.expect("valid"));
            let mut joined = Vec::new();
            for cut in CUTS.windows(2) {
                let part = client.normalize(normalize(kind, rows(&whole, cut[0], cut[1]))).await.expect("valid");
                joined.extend_from_slice(&output(part).expect("it has an output").data);
            }
            assert!(at_once.expect("it has an output").data == joined, "{kind:?} {dtype:?}");
        }

        let (mut joined, mut back) = (Vec::new(), Vec::new());
        for cut in CUTS.windows(2) {
            let (part, offset) = (rows(&whole, cut[0], cut[1]), cut[0] as u64 * 777);
            let request = pb::DropoutRequest { offset, ..dropout(0.4, part.clone()) };
            let output = client.dropout(request).await.expect("valid").into_inner().output;
            joined.extend_from_slice(&output.expect("it has an output").data);
            let request = pb::DropoutBackwardRequest {
                p: Some(0.4),
                seed: 42,
                offset,
                grad_output: Some(part),
                ..Default::default()
            };
            let grad_input = client.dropout_backward(request).await.expect("valid").into_inner().grad_input;
            back.extend_from_slice(&grad_input.expect("it has a gradient").data);
        }
        let at_once = client.dropout(dropout(0.4, whole)).await.expect("valid").into_inner().output;
        let at_once = at_once.expect("it has an output").data;
        // For the same numbers the backward call gives the same as the forward call: both scale the elements that are
        // kept.
        assert!(at_once == joined && at_once == back, "{dtype:?}");
    }
}

/// Gradients have the same norm in any order, and each is clipped to the same bytes.
#[tokio::test]
async fn gradients_in_any_order() {
    let (_server, mut client) = server(3).await;
    let gradients: Vec<pb::Tensor> = [DataType::Float32, DataType::Float64, DataType::Float16, DataType::Bfloat16]
        .into_iter()
        .enumerate()
        .map(|(seed, dtype)| pb::Tensor { name: format!("{dtype:?}"), ..noise(dtype, &[5003], seed as u64) })
        .collect();
    for norm_type in [1.0, 2.0, 3.0, f64::INFINITY] {
        let mut answers = Vec::new();
        for turn in 0..4 {
            let mut turned = gradients.clone();
            turned.rotate_left(turn);
            let request = pb::ClipGradientsRequest { norm_type: Some(norm_type), ..clip(ClipMode::Norm, 2.0, turned) };
            let mut answer = client.clip_gradients(request).await.expect("valid").into_inner();
            answer.gradients.rotate_right(turn);
            answers.push(answer.encode_to_vec());
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{norm_type}");
    }
}
