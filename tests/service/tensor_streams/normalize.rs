//! NormalizeStream.

use evenkeel::config::{AdmissionConfig, ServerConfig};
use evenkeel_proto::v1 as pb;
use pb::{NormKind, normalize_stream_request::Part, normalize_stream_response::Part as Answer};
use tonic::{Code, Request, Status};

use super::{CUTS, DTYPES, cut, data, described, whole};
use crate::harness::{Client, error_info, norm_kinds, normalize, refusal, start, start_with, violation};

/// What a stream was answered with.
#[derive(Debug, Default)]
struct Answered {
    header: Option<pb::NormalizeResponse>,
    data: Vec<u8>,
    summary: Option<pb::NormalizeResponse>,
    longest: usize,
}

fn message(part: Part) -> pb::NormalizeStreamRequest {
    pb::NormalizeStreamRequest { part: Some(part) }
}

async fn call(client: &mut Client, messages: Vec<pb::NormalizeStreamRequest>) -> Result<Answered, Status> {
    let mut answer = client.normalize_stream(Request::new(tokio_stream::iter(messages))).await?.into_inner();
    let mut all = Answered::default();
    while let Some(message) = answer.message().await? {
        assert_eq!(all.summary, None, "the summary is last");
        match message.part.expect("each message has a part") {
            Answer::Header(header) => {
                assert_eq!(all.data.len(), 0, "the header is first");
                assert_eq!(all.header.replace(header), None);
            }
            Answer::Data(bytes) => {
                all.longest = all.longest.max(bytes.len());
                all.data.extend_from_slice(&bytes);
            }
            Answer::Summary(summary) => all.summary = Some(summary),
        }
    }
    Ok(all)
}

/// A header, and these bytes in pieces.
fn stream(header: pb::NormalizeRequest, bytes: &[u8], lengths: &[usize]) -> Vec<pb::NormalizeStreamRequest> {
    let pieces = cut(bytes, lengths).into_iter().map(|piece| message(Part::Data(piece.into())));
    std::iter::once(message(Part::Header(header))).chain(pieces).collect()
}

/// The stream's answer to a request without elements is the unary answer to the same with them.
async fn expect_unary(client: &mut Client, request: &pb::NormalizeRequest, lengths: &[usize]) {
    let input = request.input.clone().expect("there is one");
    let bytes = input.data.clone();
    let header = pb::NormalizeRequest {
        input: Some(pb::Tensor { data: bytes::Bytes::new(), ..input.clone() }),
        ..request.clone()
    };
    let unary = client.normalize(request.clone()).await.expect("valid").into_inner();
    let answer = call(client, stream(header, &bytes, lengths)).await.expect("valid");
    let case = format!("kind {} dtype {} {lengths:?}", request.kind, input.dtype);
    assert!(answer.data == unary.output.as_ref().expect("there is one").data, "{case}");
    let expected = pb::NormalizeResponse {
        axes: unary.axes.clone(),
        output: Some(pb::Tensor { data: bytes::Bytes::new(), ..input }),
        ..Default::default()
    };
    assert_eq!(answer.header, Some(expected), "{case}");
    assert_eq!(answer.summary, Some(pb::NormalizeResponse { axes: Vec::new(), output: None, ..unary }), "{case}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_have_the_bytes_of_the_unary_call() {
    let (_server, mut client) = start().await;
    for ((dtype, _), lengths) in DTYPES.into_iter().flat_map(|dtype| CUTS.map(|cut| (dtype, cut))) {
        for kind in norm_kinds() {
            let request = pb::NormalizeRequest {
                groups: if kind == NormKind::Group { 3 } else { 0 },
                return_statistics: true,
                ..normalize(kind, whole(dtype, &[5, 6, 401]))
            };
            expect_unary(&mut client, &request, lengths).await;
        }
    }
}

/// Batch normalization with running statistics, which it uses or updates, and with those of MeasureStatistics.
#[tokio::test(flavor = "multi_thread")]
async fn batch_statistics_come_from_anywhere() {
    let (_server, mut client) = start().await;
    let (dtype, shape) = (pb::DataType::Float32, [40, 6, 401]);
    let channels = whole(dtype, &[6]);
    let positive = pb::Tensor { data: [1.5_f32.to_le_bytes(); 6].concat().into(), ..channels.clone() };
    let batch = normalize(NormKind::Batch, whole(dtype, &shape));
    let with_running = |training| pb::NormalizeRequest {
        running_mean: Some(channels.clone()),
        running_var: Some(positive.clone()),
        training: Some(training),
        weight: Some(positive.clone()),
        ..batch.clone()
    };
    let measured = pb::MeasureStatisticsRequest {
        part: Some(pb::measure_statistics_request::Part::Header(batch.clone())),
        ..Default::default()
    };
    let statistics = client.measure_statistics(tokio_stream::iter([measured])).await.expect("valid").into_inner();
    let merged = pb::NormalizeRequest { statistics: Some(statistics), return_statistics: true, ..with_running(true) };
    for lengths in CUTS {
        for request in [&with_running(false), &with_running(true), &merged] {
            expect_unary(&mut client, request, lengths).await;
        }
    }
}

/// With the statistics of MeasureStatistics every kind is cut anywhere, also float64 of any size.
#[tokio::test(flavor = "multi_thread")]
async fn known_statistics_let_every_kind_be_cut() {
    let (_server, mut client) = start().await;
    for ((dtype, _), kind) in DTYPES.into_iter().flat_map(|dtype| norm_kinds().map(move |kind| (dtype, kind))) {
        let plain = pb::NormalizeRequest {
            groups: if kind == NormKind::Group { 2 } else { 0 },
            return_statistics: true,
            ..normalize(kind, whole(dtype, &[3, 4, 7001]))
        };
        let part = Some(pb::measure_statistics_request::Part::Header(plain.clone()));
        let measured = pb::MeasureStatisticsRequest { part, ..Default::default() };
        let statistics = client.measure_statistics(tokio_stream::iter([measured])).await.expect("valid").into_inner();
        let request = pb::NormalizeRequest { statistics: Some(statistics), ..plain };
        for lengths in [&[4099][..], &[100_000, 3]] {
            expect_unary(&mut client, &request, lengths).await;
        }
    }
}

/// By running statistics an element of an image depends on its channel alone: neither an image nor a number for each set is held,
/// and 66,000 sets in images of 1.1 MiB fit in a budget of 2.5 MiB.
#[tokio::test(flavor = "multi_thread")]
async fn instances_with_running_statistics_are_cut_anywhere() {
    let (dtype, shape, channels) = (pb::DataType::Float32, [33, 2000, 140], 2000);
    let running = |value: f32| {
        let data: Vec<u8> = (0..channels).flat_map(|channel| (value + channel as f32).to_le_bytes()).collect();
        Some(pb::Tensor { data: data.into(), ..described(dtype, &[channels]) })
    };
    let header = pb::NormalizeRequest {
        running_mean: running(-7.0),
        running_var: running(0.25),
        // Weights keep the channels of an image apart.
        weight: running(1.5),
        training: Some(false),
        ..normalize(NormKind::Instance, described(dtype, &shape))
    };
    let bytes = data(dtype, 33 * 2000 * 140);
    let admission = AdmissionConfig { max_bytes_in_flight: Some(5 << 19), ..Default::default() };
    let config = ServerConfig { admission, max_message_bytes: 128 << 10, ..ServerConfig::on_free_port() };
    let (_small, mut client) = start_with(config).await;
    let answer = call(&mut client, stream(header.clone(), &bytes, &[100_000])).await.expect("it fits");
    let (_large, mut client) = start().await;
    let input = Some(pb::Tensor { data: bytes.into(), ..described(dtype, &shape) });
    let request = pb::NormalizeRequest { input, return_statistics: true, ..header };
    let unary = client.normalize(request.clone()).await.expect("valid").into_inner();
    assert!(answer.data == unary.output.expect("there is one").data);
    expect_unary(&mut client, &request, &[70_001]).await;
}

/// The elements of a set may be more than the budget; in two calls there is room for them.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_told_its_two_calls() {
    let admission = AdmissionConfig { max_bytes_in_flight: Some(4 << 20), ..Default::default() };
    let config = ServerConfig { admission, max_message_bytes: 1 << 20, ..ServerConfig::on_free_port() };
    let (_server, mut client) = start_with(config).await;
    let (dtype, shape) = (pb::DataType::Float32, [1000, 3, 1000]);
    let bytes = data(dtype, 3_000_000);
    let header = normalize(NormKind::Batch, described(dtype, &shape));
    let refused =
        refusal(call(&mut client, vec![message(Part::Header(header.clone()))]).await, Code::ResourceExhausted);
    assert_eq!(error_info(&refused).reason, "NEEDS_TWO_PASSES");
    assert!(refused.message().contains("MeasureStatistics"), "{refused:?}");

    let part = Some(pb::measure_statistics_request::Part::Header(header.clone()));
    let begin = pb::MeasureStatisticsRequest { part, ..Default::default() };
    let pieces = cut(&bytes, &[500_000]).into_iter();
    let measure = std::iter::once(begin)
        .chain(pieces.map(|data| pb::MeasureStatisticsRequest { data: data.into(), ..Default::default() }));
    let measure: Vec<_> = measure.collect();
    let statistics = client.measure_statistics(tokio_stream::iter(measure)).await.expect("valid").into_inner();
    let with_statistics = pb::NormalizeRequest { statistics: Some(statistics), ..header };
    let answer = call(&mut client, stream(with_statistics.clone(), &bytes, &[500_000])).await.expect("it fits");

    let (_large, mut large) = start().await;
    let whole = pb::NormalizeRequest {
        input: Some(pb::Tensor { data: bytes.into(), ..described(dtype, &shape) }),
        ..with_statistics
    };
    let unary = large.normalize(whole).await.expect("valid").into_inner();
    assert!(answer.data == unary.output.expect("there is one").data);
}

/// Rows that are longer than a chunk are computed as a whole, and sent in chunks.
#[tokio::test(flavor = "multi_thread")]
async fn long_rows_go_in_chunks() {
    let (_server, mut client) = start().await;
    let header = normalize(NormKind::Layer, described(pb::DataType::Float32, &[3, 200_001]));
    let bytes = data(pb::DataType::Float32, 3 * 200_001);
    let answer = call(&mut client, stream(header, &bytes, &[10_000])).await.expect("valid");
    assert_eq!((answer.longest, answer.data.len()), (64 << 10, bytes.len()));
    let request = normalize(NormKind::Layer, whole(pb::DataType::Float32, &[3, 200_001]));
    expect_unary(&mut client, &request, &[10_000]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_comes_back_as_nothing() {
    let (_server, mut client) = start().await;
    for (kind, shape) in [
        (NormKind::Layer, &[0, 3][..]),
        (NormKind::Layer, &[3, 0]),
        (NormKind::Batch, &[0, 4]),
        (NormKind::Rms, &[2, 0]),
    ] {
        let request =
            pb::NormalizeRequest { return_statistics: true, ..normalize(kind, whole(pb::DataType::Float32, shape)) };
        expect_unary(&mut client, &request, &[1]).await;
    }
}

/// Row 34.
#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_not_as_described_are_refused() {
    let (_server, mut client) = start().await;
    let layer = || normalize(NormKind::Layer, described(pb::DataType::Float32, &[2, 5]));
    let header = || message(Part::Header(layer()));
    let data = |len: usize| message(Part::Data(vec![0; len].into()));
    let with_elements = normalize(NormKind::Layer, whole(pb::DataType::Float32, &[2, 5]));
    let wrong = pb::NormalizeRequest { axes: vec![7], ..layer() };
    let negative = pb::NormalizeRequest { eps: Some(-1.0), ..layer() };
    for (messages, field) in [
        (vec![], "header"),
        (vec![data(4), header()], "header"),
        (vec![header(), data(41)], "data"),
        (vec![header(), data(40), data(1)], "data"),
        (vec![header()], "data"),
        (vec![header(), data(39)], "data"),
        (vec![header(), data(20), header()], "header"),
        (vec![pb::NormalizeStreamRequest { part: None }], "part"),
        (vec![message(Part::Header(with_elements))], "header.input.data"),
        (vec![message(Part::Header(wrong))], "header.axes[0]"),
        (vec![message(Part::Header(negative))], "header.eps"),
    ] {
        let case = format!("{messages:?}");
        assert_eq!(violation(call(&mut client, messages).await).0, field, "{case}");
    }
}
