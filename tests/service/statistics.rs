//! MeasureStatistics, and `statistics` in Normalize and NormalizeBackward: sets in parts, over messages and servers.

use evenkeel::{
    config::{AdmissionConfig, ServerConfig},
    server::Running,
};
use evenkeel_proto::v1 as pb;
use pb::{DataType, NormKind, measure_statistics_request::Part};
use prost::Message as _;
use tonic::{Code, Status};

use crate::{
    harness::{Client, f32s, normalize, refusal, refused_fields, start, start_with, tensor, violation, violations},
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

/// The same with gradients.
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

/// What sums in floating point would get wrong: sizes from 1e-20 to 1e15.
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

/// Batch normalization of samples on three servers, forward and backward: the statistics have the same bytes whoever measured
/// what, and each part the bytes that it has on one server that sees everything and gets the same statistics.
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
        // Cut within an element.
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

    // The statistics are those of the tensor: what it has without them differs by its own sums' roundings at most.
    let own = pb::NormalizeRequest { statistics: None, ..forward(0..8) };
    let own = one.normalize(own).await.expect("valid").into_inner();
    assert_eq!((own.mean, own.running_mean), (all.mean, all.running_mean));
}

/// A row that is cut over two machines: layer and RMS normalization, each with its piece of the weight.
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

/// However the elements of a part are cut into messages, and with them in the header or without, of every dtype.
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

/// The partial is what the contract says: integers that any language can read.
#[tokio::test]
async fn a_partial_is_sums_of_elements_and_of_squares() {
    let (_server, mut client) = start().await;
    // Typed by hand, in the header.
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
    // Twice the same in one call are both together.
    let answer = measure(&mut client, vec![message.clone(), message]).await.expect("valid");
    assert_eq!((answer.sets[0].elements, &answer.sets[0].sum), (4, &sum(true, 4)));
}

/// Sets without elements, no sets, and parts of nothing beside parts of something.
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

#[tokio::test]
async fn what_does_not_fit_is_named() {
    let (_server, mut client) = start().await;
    let batch = || header(NormKind::Batch, DataType::Float32, &[2, 3]);
    let backward = || backward_header(NormKind::Batch, DataType::Float32, &[2, 3]);
    let changed = |mut message: pb::MeasureStatisticsRequest, change: fn(&mut pb::NormalizeRequest)| {
        if let Some(Part::Header(header)) = &mut message.part {
            change(header);
        }
        message
    };
    let mut field = async |messages: Vec<_>| violation(measure(&mut client, messages).await).0;
    assert_eq!(field(vec![]).await, "header");
    assert_eq!(field(vec![pb::MeasureStatisticsRequest::default()]).await, "header");
    assert_eq!(field(vec![data(&[0; 4], &[])]).await, "data");
    assert_eq!(field(vec![batch()]).await, "data");
    assert_eq!(field(vec![batch(), data(&[0; 23], &[])]).await, "data");
    assert_eq!(field(vec![batch(), data(&[0; 25], &[])]).await, "data");
    assert_eq!(field(vec![batch(), data(&[0; 24], &[]), data(&[0; 1], &[])]).await, "data");
    assert_eq!(field(vec![batch(), data(&[0; 24], &[0; 24])]).await, "grad_data");
    assert_eq!(field(vec![backward(), data(&[0; 24], &[])]).await, "grad_data");
    assert_eq!(field(vec![backward(), data(&[0; 8], &[0; 7])]).await, "grad_data");
    assert_eq!(field(vec![batch(), data(&[0; 20], &[]), batch()]).await, "header");
    assert_eq!(field(vec![changed(batch(), |header| header.kind = 0)]).await, "header.kind");
    assert_eq!(field(vec![changed(batch(), |header| header.kind = 77)]).await, "header.kind");
    assert_eq!(field(vec![changed(batch(), |header| header.axes = vec![5])]).await, "header.axes[0]");
    assert_eq!(field(vec![changed(batch(), |header| header.groups = 3)]).await, "header.groups");
    assert_eq!(field(vec![changed(batch(), |header| header.channel_axis = Some(2))]).await, "header.channel_axis");
    assert_eq!(field(vec![changed(batch(), |header| header.input = None)]).await, "header.input");
    let input = |change: fn(&mut pb::Tensor)| {
        let mut message = batch();
        if let Some(Part::Header(header)) = &mut message.part {
            header.input.iter_mut().for_each(change);
        }
        vec![message]
    };
    assert_eq!(field(input(|input| input.dtype = 0)).await, "header.input.dtype");
    assert_eq!(field(input(|input| input.shape[1] = -1)).await, "header.input.shape[1]");
    assert_eq!(field(input(|input| input.shape = vec![i64::MAX, i64::MAX])).await, "header.input.shape");
    assert_eq!(field(input(|input| input.shape = vec![0, i64::MAX])).await, "header.input.shape");
    assert_eq!(field(input(|input| input.data = vec![0; 23].into())).await, "header.input.data");
    let layer = backward_header(NormKind::Layer, DataType::Float32, &[2, 3]);
    assert_eq!(field(vec![layer]).await, "backward_header.grad_output");
    let two = |second| vec![batch(), data(&[0; 24], &[]), second];
    assert_eq!(field(two(header(NormKind::Layer, DataType::Float32, &[2, 3]))).await, "header.kind");
    assert_eq!(field(two(header(NormKind::Batch, DataType::Float32, &[2, 4]))).await, "header.input.shape");
    assert_eq!(field(two(backward())).await, "backward_header");
    let gradient = |grad_output: pb::Tensor| {
        let mut message = backward();
        if let Some(Part::BackwardHeader(header)) = &mut message.part {
            header.grad_output = Some(grad_output);
        }
        vec![message, data(&[0; 24], &[0; 24])]
    };
    let described = |dtype: DataType, shape: &[i64]| gradient(tensor(dtype, shape, vec![]));
    assert_eq!(field(described(DataType::Float32, &[3, 2])).await, "backward_header.grad_output.shape");
    assert_eq!(field(described(DataType::Float64, &[2, 3])).await, "backward_header.grad_output.dtype");
    assert_eq!(field(gradient(f32s(&[2, 3], &[1.0; 6]))).await, "backward_header.grad_output.data");
    assert!(measure(&mut client, described(DataType::Float32, &[2, 3])).await.is_ok());
}

#[tokio::test]
async fn statistics_that_no_elements_have_are_refused_by_name() {
    let (_server, mut client) = start().await;
    let messages = vec![
        backward_header(NormKind::Batch, DataType::Float32, &[2, 3]),
        data(&bytes_of(&values(6, 1)), &bytes_of(&values(6, 2))),
    ];
    let right = measure(&mut client, messages).await.expect("valid");
    let changes: [(&str, fn(&mut pb::StatisticsPartial)); 9] = [
        ("kind", |partial| partial.kind = 0),
        ("shape[0]", |partial| partial.shape[0] = -3),
        ("sets", |partial| partial.shape[0] = 2),
        ("sets[1].elements", |partial| partial.sets[1].nan_elements = u64::MAX),
        ("sets[2].elements", |partial| partial.sets[2].elements = 1),
        ("sets[1].sum", |partial| {
            partial.sets[1].sum = Some(pb::ExactSum { magnitude: vec![1].into(), ..Default::default() })
        }),
        ("sets[0].sum.magnitude", |partial| {
            partial.sets[0].sum = Some(pb::ExactSum { magnitude: vec![1; 533].into(), ..Default::default() });
        }),
        ("sets[0].sum_of_squares", |partial| partial.sets[0].sum_of_squares = None),
        ("sets[2].sum_of_gradients", |partial| {
            let set = &mut partial.sets[2];
            (set.sum_of_gradients, set.sum_of_products, set.nonfinite_gradients) = (None, None, 0);
        }),
    ];
    for (field, change) in changes {
        let mut wrong = right.clone();
        change(&mut wrong);
        let refused = refused_fields(measure(&mut client, vec![partials(vec![right.clone(), wrong.clone()])]).await);
        assert!(refused.contains(&format!("partials[1].{field}")), "{field}: {refused:?}");
        let request = |statistics: &pb::StatisticsPartial| pb::NormalizeRequest {
            statistics: Some(statistics.clone()),
            ..normalize(NormKind::Batch, f32s(&[2, 3], &values(6, 1)))
        };
        let refused = refused_fields(client.normalize(request(&wrong)).await);
        assert!(refused.contains(&format!("statistics.{field}")), "{field}: {refused:?}");
        // Beside another fault.
        let both = pb::NormalizeRequest { eps: Some(-1.0), ..request(&wrong) };
        let refused = refused_fields(client.normalize(both).await);
        assert!(refused.contains(&"eps".to_owned()), "{field}: {refused:?}");
        assert!(refused.contains(&format!("statistics.{field}")), "{field}: {refused:?}");
        let backward = pb::NormalizeBackwardRequest {
            kind: NormKind::Batch.into(),
            statistics: Some(wrong),
            input: Some(f32s(&[2, 3], &values(6, 1))),
            grad_output: Some(f32s(&[2, 3], &values(6, 2))),
            ..Default::default()
        };
        let refused = refused_fields(client.normalize_backward(backward).await);
        assert!(refused.contains(&format!("statistics.{field}")), "{field}: {refused:?}");
    }
    // Right by themselves, and of another tensor.
    let of = |change: fn(&mut pb::NormalizeRequest)| {
        let mut request = normalize(NormKind::Batch, f32s(&[2, 3], &values(6, 1)));
        request.statistics = Some(right.clone());
        change(&mut request);
        request
    };
    for (field, request) in [
        ("statistics.kind", of(|request| request.kind = NormKind::Instance.into())),
        ("statistics.shape", of(|request| request.input = Some(f32s(&[3, 2], &values(6, 1))))),
        ("statistics.sets[0].elements", of(|request| request.input = Some(f32s(&[3, 3], &values(9, 1))))),
        (
            "statistics",
            of(|request| {
                (request.running_mean, request.running_var) =
                    (Some(f32s(&[3], &[0.0; 3])), Some(f32s(&[3], &[1.0; 3])));
            }),
        ),
    ] {
        let refused = violations(client.normalize(request).await);
        assert!(refused.iter().any(|violation| violation.starts_with(&format!("{field}: "))), "{field}: {refused:?}");
    }
    let mixed =
        vec![partials(vec![right.clone(), pb::StatisticsPartial { kind: NormKind::Instance.into(), ..right.clone() }])];
    assert_eq!(violation(measure(&mut client, mixed).await).0, "partials[1].kind");
    let mut many = right.clone();
    many.sets.iter_mut().for_each(|set| set.elements = 1 << 59);
    assert_eq!(
        violation(measure(&mut client, vec![partials(vec![right, many])]).await).0,
        "partials[1].sets[0].elements"
    );
}

/// Sums that are short become long ones when they are merged, and what a header asks for is more than it says: all of it is
/// taken from the budget, or refused.
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
    // Fine by themselves; merged, each sum has 520 bytes.
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
