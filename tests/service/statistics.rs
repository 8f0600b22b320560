//! MeasureStatistics, and `statistics` in Normalize and NormalizeBackward: of a tensor in parts, over messages and
//! servers.

mod refused;

use std::time::Duration;

use evenkeel::{
    config::{AdmissionConfig, ServerConfig},
    server::Running,
};
use evenkeel_proto::v1 as pb;
use pb::{DataType, NormKind, measure_statistics_request::Part};
use prost::Message as _;
use tokio_stream::StreamExt as _;
use tonic::{Code, Request, Status};

use crate::{
    harness::{Client, f32s, normalize, refusal, start, start_with, tensor, violation},
    metrics::scrape,
    until::until,
};

type Answer = Result<pb::StatisticsPartial, Status>;

async fn measure(client: &mut Client, messages: Vec<pb::MeasureStatisticsRequest>) -> Answer {
    client.measure_statistics(tokio_stream::iter(messages)).await.map(tonic::Response::into_inner)
}

/// A message that begins a part, without elements.
fn header(kind: NormKind, dtype: DataType, shape: &[i64]) -> pb::MeasureStatisticsRequest {
    let input = pb::Tensor { dtype: dtype.into(), shape: shape.to_vec(), ..Default::default() };
    let part = Part::Header(pb::NormalizeRequest { kind: kind.into(), input: Some(input), ..Default::default() });
    pb::MeasureStatisticsRequest { part: Some(part), ..Default::default() }
}

/// The same for the backward pass.
fn backward_header(kind: NormKind, dtype: DataType, shape: &[i64]) -> pb::MeasureStatisticsRequest {
    let input = pb::Tensor { dtype: dtype.into(), shape: shape.to_vec(), ..Default::default() };
    let header = pb::NormalizeBackwardRequest { kind: kind.into(), input: Some(input), ..Default::default() };
    pb::MeasureStatisticsRequest { part: Some(Part::BackwardHeader(header)), ..Default::default() }
}

fn data(bytes: &[u8], gradients: &[u8]) -> pb::MeasureStatisticsRequest {
    pb::MeasureStatisticsRequest {
        data: bytes.to_vec().into(),
        grad_data: gradients.to_vec().into(),
        ..Default::default()
    }
}

fn partials(partials: Vec<pb::StatisticsPartial>) -> pb::MeasureStatisticsRequest {
    pb::MeasureStatisticsRequest { partials, ..Default::default() }
}

/// Values from 1e-20 to 1e15, of which a sum in floating point would be wrong.
fn values(count: u32, seed: u32) -> Vec<f32> {
    let value = |i: u32| ((i * 7919 + seed) % 1009) as f32 - 504.5;
    (0..count).map(|i| value(i) * [1e-20, 1.0, 3.7e3, 1e12][(i + seed) as usize % 4]).collect()
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

async fn servers(count: usize) -> Vec<(Running, Client)> {
    let mut servers = Vec::new();
    for threads in 1..=count {
        servers.push(start_with(ServerConfig { threads, ..ServerConfig::on_free_port() }).await);
    }
    servers
}

/// Batch normalization of samples on three servers, forward and backward: the statistics have the same bytes however
/// the samples are divided, and each part has the bytes that it has on one server that gets the whole and the same
/// statistics.
#[tokio::test]
async fn samples_on_three_servers_are_normalized_as_one() {
    const SAMPLE: usize = 5 * 6;
    let (x, g) = (values(8 * SAMPLE as u32, 1), values(8 * SAMPLE as u32, 2));
    let (mut one, mut several) = (servers(1).await, servers(3).await);
    let (_, one) = &mut one[0];
    let shape = |samples: usize| [samples as i64, 5, 6];
    let whole =
        vec![backward_header(NormKind::Batch, DataType::Float32, &shape(8)), data(&bytes_of(&x), &bytes_of(&g))];
    let statistics = measure(one, whole).await.expect("valid");
    assert_eq!((statistics.sets.len(), statistics.sets[0].elements), (5, 8 * 6));

    let cuts = [0, 1, 6, 8];
    let mut measured = Vec::new();
    for ((_, client), cut) in several.iter_mut().zip(cuts.windows(2)) {
        let range = cut[0] * SAMPLE..cut[1] * SAMPLE;
        let begin = backward_header(NormKind::Batch, DataType::Float32, &shape(cut[1] - cut[0]));
        let (x, g) = (bytes_of(&x[range.clone()]), bytes_of(&g[range]));
        // The messages are cut within an element.
        let messages = vec![begin, data(&x[..7], &g[..7]), data(&x[7..], &g[7..])];
        measured.push(measure(client, messages).await.expect("valid"));
    }
    for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
        let merged = order.map(|part| measured[part].clone());
        let merged = measure(&mut several[order[0]].1, vec![partials(merged.to_vec())]).await.expect("valid");
        assert_eq!(merged.encode_to_vec(), statistics.encode_to_vec(), "{order:?}");
    }

    let running = f32s(&[5], &[0.25; 5]);
    let forward = |range: std::ops::Range<usize>| pb::NormalizeRequest {
        weight: Some(f32s(&[5], &[1.5, -2.0, 0.3, 1e10, 1.0])),
        bias: Some(f32s(&[5], &[0.1; 5])),
        training: Some(true),
        running_mean: Some(running.clone()),
        running_var: Some(running.clone()),
        return_statistics: true,
        statistics: Some(statistics.clone()),
        ..normalize(NormKind::Batch, f32s(&shape(range.len()), &x[range.start * SAMPLE..range.end * SAMPLE]))
    };
    let backward = |range: std::ops::Range<usize>| {
        let pb::NormalizeRequest { kind, weight, statistics, input, .. } = forward(range.clone());
        let grad_output = Some(f32s(&shape(range.len()), &g[range.start * SAMPLE..range.end * SAMPLE]));
        pb::NormalizeBackwardRequest { kind, weight, statistics, input, grad_output, ..Default::default() }
    };
    let all = one.normalize(forward(0..8)).await.expect("valid").into_inner();
    let gradients = one.normalize_backward(backward(0..8)).await.expect("valid").into_inner();
    let (mut output, mut grad_input) = (Vec::new(), Vec::new());
    for ((_, client), cut) in several.iter_mut().zip(cuts.windows(2)) {
        let part = client.normalize(forward(cut[0]..cut[1])).await.expect("valid").into_inner();
        assert_eq!((&part.mean, &part.rstd), (&all.mean, &all.rstd));
        assert_eq!((&part.running_mean, &part.running_var), (&all.running_mean, &all.running_var));
        output.extend_from_slice(&part.output.expect("there is one").data);
        let part = client.normalize_backward(backward(cut[0]..cut[1])).await.expect("valid").into_inner();
        grad_input.extend_from_slice(&part.grad_input.expect("there is one").data);
    }
    assert!(output == all.output.expect("there is one").data);
    assert!(grad_input == gradients.grad_input.expect("there is one").data);

    // The statistics are those of the tensor itself: without them, the server computes the same mean.
    let own = pb::NormalizeRequest { statistics: None, ..forward(0..8) };
    let own = one.normalize(own).await.expect("valid").into_inner();
    assert_eq!((own.mean, own.running_mean), (all.mean, all.running_mean));
}

/// Rows that are divided between two servers: layer and RMS normalization, each server with its piece of the weight.
#[tokio::test]
async fn rows_that_are_cut_are_normalized_as_whole_ones() {
    let mut servers = servers(2).await;
    let x = values(4 * 100, 3);
    let weight: Vec<f32> = (0..100).map(|i| 1.0 + i as f32 / 64.0).collect();
    let columns = |range: std::ops::Range<usize>| -> Vec<f32> {
        x.chunks(100).flat_map(|row| row[range.clone()].to_vec()).collect()
    };
    for kind in [NormKind::Layer, NormKind::Rms] {
        let mut parts = Vec::new();
        for ((_, client), range) in servers.iter_mut().zip([0..33, 33..100]) {
            let begin = header(kind, DataType::Float32, &[4, range.len() as i64]);
            parts.push(measure(client, vec![begin, data(&bytes_of(&columns(range)), &[])]).await.expect("valid"));
        }
        let merged = measure(&mut servers[0].1, vec![partials(parts)]).await.expect("valid");
        let request = |range: std::ops::Range<usize>| pb::NormalizeRequest {
            weight: Some(f32s(&[range.len() as i64], &weight[range.clone()])),
            statistics: Some(merged.clone()),
            ..normalize(kind, f32s(&[4, range.len() as i64], &columns(range)))
        };
        let whole = servers[0].1.normalize(request(0..100)).await.expect("valid").into_inner();
        let whole = whole.output.expect("there is one").data;
        for ((_, client), range) in servers.iter_mut().zip([0..33, 33..100]) {
            let part = client.normalize(request(range.clone())).await.expect("valid").into_inner();
            let expected: Vec<u8> =
                whole.chunks(400).flat_map(|row| row[4 * range.start..4 * range.end].to_vec()).collect();
            assert!(part.output.expect("there is one").data == expected, "{kind:?}");
        }
        let gradient = pb::NormalizeBackwardRequest {
            kind: kind.into(),
            statistics: Some(merged.clone()),
            input: Some(f32s(&[4, 100], &x)),
            grad_output: Some(f32s(&[4, 100], &x)),
            ..Default::default()
        };
        assert_eq!(violation(servers[0].1.normalize_backward(gradient).await).0, "statistics");
    }
}

/// The statistics do not depend on how the elements are cut into messages, or whether they are in the header; for every
/// dtype.
#[tokio::test]
async fn cuts_change_nothing() {
    let (_server, mut client) = start().await;
    for (dtype, size) in
        [(DataType::Float32, 4), (DataType::Float64, 8), (DataType::Float16, 2), (DataType::Bfloat16, 2)]
    {
        let shape = [3, 7];
        let bytes: Vec<u8> = (0..21 * size).map(|i| (i * 37 % 101) as u8).collect();
        let gradients: Vec<u8> = (0..21 * size).map(|i| (i * 53 % 97) as u8).collect();
        let whole = |part: Part| vec![pb::MeasureStatisticsRequest { part: Some(part), ..Default::default() }];
        let input = Some(tensor(dtype, &shape, bytes.clone()));
        let grad_output = Some(tensor(dtype, &shape, gradients.clone()));
        let kind = NormKind::Batch.into();
        let forward = pb::NormalizeRequest { kind, input: input.clone(), ..Default::default() };
        let forward = measure(&mut client, whole(Part::Header(forward))).await.expect("valid");
        let backward = pb::NormalizeBackwardRequest { kind, input, grad_output, ..Default::default() };
        let backward = measure(&mut client, whole(Part::BackwardHeader(backward))).await.expect("valid");
        assert_eq!(forward.sets[0].sum_of_gradients, None);
        assert!(backward.sets.iter().all(|set| set.sum_of_gradients.is_some() && set.sum_of_products.is_some()));
        for cut in [1, 2, 3, 5, 8, 13, 100, bytes.len()] {
            let mut messages = vec![header(NormKind::Batch, dtype, &shape)];
            messages.extend(bytes.chunks(cut).map(|bytes| data(bytes, &[])));
            assert_eq!(measure(&mut client, messages).await.expect("valid"), forward, "{dtype:?} {cut}");
            let mut pieces = bytes.chunks(cut).zip(gradients.chunks(cut));
            // The first pieces come with the header.
            let (x, g) = pieces.next().expect("there is one");
            let mut messages = vec![pb::MeasureStatisticsRequest {
                data: x.to_vec().into(),
                grad_data: g.to_vec().into(),
                ..backward_header(NormKind::Batch, dtype, &shape)
            }];
            messages.extend(pieces.map(|(bytes, gradients)| data(bytes, gradients)));
            assert_eq!(measure(&mut client, messages).await.expect("valid"), backward, "{dtype:?} {cut}");
        }
    }
}

/// The partial has the format of the contract: integers that can be read in any language.
#[tokio::test]
async fn a_partial_is_sums_of_elements_and_of_squares() {
    let (_server, mut client) = start().await;
    // As `float_data`, in the header.
    let input = pb::Tensor {
        shape: vec![2, 2],
        float_data: vec![3.0, -5.0, f32::NAN, f32::NEG_INFINITY],
        ..Default::default()
    };
    let part =
        Part::Header(pb::NormalizeRequest { kind: NormKind::Layer.into(), input: Some(input), ..Default::default() });
    let message = pb::MeasureStatisticsRequest { part: Some(part), ..Default::default() };
    let answer = measure(&mut client, vec![message.clone()]).await.expect("valid");
    // -2 and 34 times 2^2148: 268 bytes and four bits below.
    let sum = |negative, number: u16| {
        let magnitude: Vec<u8> = (number << 4).to_le_bytes().into_iter().filter(|&byte| byte != 0).collect();
        Some(pb::ExactSum { negative, low_zero_bytes: 268, magnitude: magnitude.into() })
    };
    let finite =
        pb::SetStatistics { elements: 2, sum: sum(true, 2), sum_of_squares: sum(false, 34), ..Default::default() };
    let special =
        pb::SetStatistics { elements: 2, nan_elements: 1, negative_infinite_elements: 1, ..Default::default() };
    let expected = pb::StatisticsPartial { kind: NormKind::Layer.into(), shape: vec![2], sets: vec![finite, special] };
    assert_eq!(answer, expected);
    // The same part twice in one call counts twice.
    let answer = measure(&mut client, vec![message.clone(), message]).await.expect("valid");
    assert_eq!((answer.sets[0].elements, &answer.sets[0].sum), (4, &sum(true, 4)));
}

/// Sets without elements, tensors without sets, and empty parts beside others.
#[tokio::test]
async fn parts_of_nothing_are_parts() {
    let (_server, mut client) = start().await;
    for (kind, shape, sets) in [
        (NormKind::Layer, vec![3, 0], vec![3]),
        (NormKind::Batch, vec![0, 2], vec![2]),
        (NormKind::Layer, vec![0, 3], vec![0]),
        (NormKind::Rms, vec![0], vec![]),
    ] {
        let answer = measure(&mut client, vec![header(kind, DataType::Float32, &shape)]).await.expect("valid");
        assert_eq!(answer.shape, sets, "{kind:?} {shape:?}");
        assert!(answer.sets.iter().all(|set| *set == pb::SetStatistics::default()), "{kind:?} {shape:?}");
    }
    let some = vec![header(NormKind::Batch, DataType::Float32, &[1, 2]), data(&bytes_of(&[1.0, 2.0]), &[])];
    let expected = measure(&mut client, some.clone()).await.expect("valid");
    let nothing = header(NormKind::Batch, DataType::Float64, &[0, 2]);
    for messages in [[vec![nothing.clone()], some.clone()].concat(), [some, vec![nothing.clone(), nothing]].concat()] {
        assert_eq!(measure(&mut client, messages).await.expect("valid"), expected);
    }
}

/// Short sums become long ones when they are merged, and a short header asks for many sums: their memory is reserved
/// from the budget, or the call is refused.
#[tokio::test]
async fn what_statistics_take_is_counted() {
    let admission = AdmissionConfig { max_bytes_in_flight: Some(8 << 20), ..Default::default() };
    let metrics_listen = Some("127.0.0.1:0".parse().expect("an address"));
    let config = ServerConfig { admission, metrics_listen, max_message_bytes: 1 << 20, ..ServerConfig::on_free_port() };
    let (server, mut client) = start_with(config).await;
    let tiny = |low_zero_bytes| {
        let sum = pb::ExactSum { magnitude: vec![1].into(), low_zero_bytes, ..Default::default() };
        let set = pb::SetStatistics { elements: 1 << 40, sum_of_squares: Some(sum), ..Default::default() };
        pb::StatisticsPartial { kind: NormKind::Layer.into(), shape: vec![2500], sets: vec![set; 2500] }
    };
    // Merged with itself each sum stays short; with the other, each has 520 bytes.
    measure(&mut client, vec![partials(vec![tiny(0)]), partials(vec![tiny(0)])]).await.expect("there is room");
    let grown = measure(&mut client, vec![partials(vec![tiny(0)]), partials(vec![tiny(519)])]).await;
    refusal(grown, Code::ResourceExhausted);
    for shape in [[1 << 40, 0], [1 << 20, 0], [20_000, 1]] {
        refusal(
            measure(&mut client, vec![header(NormKind::Layer, DataType::Float32, &shape)]).await,
            Code::ResourceExhausted,
        );
    }
    until("the budget is given back", async || scrape(&server).await["evenkeel_bytes_in_flight"] == 0.0).await;
}

/// A call whose client stops in the middle of a part ends at its deadline and gives back its memory, and other calls do
/// not wait for it.
#[tokio::test]
async fn a_part_that_stays_away_ends_at_its_deadline() {
    let metrics_listen = Some("127.0.0.1:0".parse().expect("an address"));
    let config = ServerConfig { threads: 1, metrics_listen, ..ServerConfig::on_free_port() };
    let (server, mut client) = start_with(config).await;
    let begun = [header(NormKind::Batch, DataType::Float32, &[100, 1000]), data(&[0; 4], &[])];
    let mut request = Request::new(tokio_stream::iter(begun).chain(tokio_stream::pending()));
    request.set_timeout(Duration::from_millis(500));
    let mut other = client.clone();
    let silent = tokio::spawn(async move { client.measure_statistics(request).await });
    // The sums of a thousand channels are reserved.
    until("the part is reserved", async || scrape(&server).await["evenkeel_bytes_in_flight"] > 1e5).await;
    let part = vec![header(NormKind::Batch, DataType::Float32, &[1, 2]), data(&bytes_of(&[1.0, 2.0]), &[])];
    assert_eq!(measure(&mut other, part).await.expect("valid").sets.len(), 2);
    let code = silent.await.expect("no panic").expect_err("it never ends").code();
    // The client's own timeout may be the first to end the call; then tonic's code is CANCELLED.
    assert!(matches!(code, Code::DeadlineExceeded | Code::Cancelled), "{code:?}");
    until("the budget is given back", async || scrape(&server).await["evenkeel_bytes_in_flight"] == 0.0).await;
}
