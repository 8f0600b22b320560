//! MeasureGradientsUnary and MeasureStatisticsUnary: the answers of the streams to one message.

use evenkeel_proto::v1 as pb;
use pb::{NormKind, measure_statistics_request::Part};
use prost::Message as _;

use crate::{
    direct::both,
    harness::{Client, dropout, f32s, normalize, refused_fields, start, start_with},
    metrics::{config, handled, scrape},
    peer::framed,
    until::until,
};

/// Values of which a sum in floating point would be wrong.
fn piece(from: u32, count: u32) -> pb::Tensor {
    let values: Vec<f32> =
        (from..from + count).map(|i| (i as f32 - 17.5) * [1e-38, 1.0, 1e30][i as usize % 3]).collect();
    f32s(&[i64::from(count)], &values)
}

fn gradients(gradients: Vec<pb::Tensor>, partials: Vec<pb::NormPartial>) -> pb::MeasureGradientsRequest {
    pb::MeasureGradientsRequest { norm_type: Some(1.0), gradients, partials }
}

async fn streamed(client: &mut Client, message: &pb::MeasureGradientsRequest) -> pb::MeasureGradientsResponse {
    let messages = tokio_stream::iter(vec![message.clone()]);
    client.measure_gradients(messages).await.expect("it is right").into_inner()
}

async fn unary(client: &mut Client, message: pb::MeasureGradientsRequest) -> pb::MeasureGradientsResponse {
    client.measure_gradients_unary(message).await.expect("it is right").into_inner()
}

/// Gradients are measured, partials are merged, and both in one message: the bytes are those of the stream and of the whole.
#[tokio::test]
async fn norms_are_measured_and_merged() {
    let (_server, mut client) = start().await;
    let (first, second) = (gradients(vec![piece(0, 7)], vec![]), gradients(vec![piece(7, 50_000)], vec![]));
    let whole = gradients(vec![piece(0, 50_007)], vec![]);
    let whole = streamed(&mut client, &whole).await;
    for message in [&first, &second] {
        assert_eq!(unary(&mut client, message.clone()).await, streamed(&mut client, message).await);
    }
    let parts = [unary(&mut client, first.clone()).await.partial, unary(&mut client, second.clone()).await.partial];
    let [Some(one), Some(other)] = parts else { panic!("there is a partial in each answer") };
    assert_eq!(unary(&mut client, gradients(vec![], vec![other.clone(), one.clone()])).await, whole);
    assert_eq!(unary(&mut client, gradients(vec![piece(0, 7)], vec![other])).await, whole);
    assert_eq!(whole.partial.expect("there is one").elements, 50_007);
    // The norm of nothing is 0, as in the stream.
    let nothing = unary(&mut client, pb::MeasureGradientsRequest::default()).await;
    assert_eq!((nothing.total_norm, nothing.partial.expect("there is one").norm_type), (0.0, 2.0));
}

/// A part comes in the header or beside it, with gradients or without, and partials are merged.
#[tokio::test]
async fn statistics_are_measured_and_merged() {
    let (_server, mut client) = start().await;
    let tensor = |from| pb::Tensor { shape: vec![2, 3], ..piece(from, 6) };
    let empty = || pb::Tensor { data: Vec::new().into(), ..tensor(0) };
    let of = |part| pb::MeasureStatisticsRequest { part: Some(part), ..Default::default() };
    let backward = |input, grad_output| {
        let kind = NormKind::Batch.into();
        Part::BackwardHeader(pb::NormalizeBackwardRequest { kind, input, grad_output, ..Default::default() })
    };
    let whole = of(Part::Header(normalize(NormKind::Batch, tensor(0))));
    let beside =
        pb::MeasureStatisticsRequest { data: tensor(0).data, ..of(Part::Header(normalize(NormKind::Batch, empty()))) };
    let both = of(backward(Some(tensor(0)), Some(tensor(6))));
    let both_beside = pb::MeasureStatisticsRequest {
        data: tensor(0).data,
        grad_data: tensor(6).data,
        ..of(backward(Some(empty()), None))
    };
    let mut answers = Vec::new();
    for message in [&whole, &beside, &both, &both_beside] {
        let messages = tokio_stream::iter(vec![message.clone()]);
        let streamed = client.measure_statistics(messages).await.expect("it is right").into_inner();
        let unary = client.measure_statistics_unary(message.clone()).await.expect("it is right").into_inner();
        assert_eq!(unary, streamed);
        answers.push(unary);
    }
    assert!(answers[0] == answers[1] && answers[2] == answers[3] && answers[0] != answers[2]);
    let partials = vec![answers[0].clone(); 2];
    let twice = pb::MeasureStatisticsRequest { partials, ..Default::default() };
    let merged = client.measure_statistics_unary(twice).await.expect("it is right").into_inner();
    assert_eq!(merged.sets[0].elements, 2 * answers[0].sets[0].elements);
    let more = pb::MeasureStatisticsRequest { partials: vec![answers[0].clone()], ..whole };
    assert_eq!(client.measure_statistics_unary(more).await.expect("it is right").into_inner(), merged);
}

/// A part of which elements are missing is refused, as is a message without anything; each call counts as what it is.
#[tokio::test]
async fn what_is_missing_is_named() {
    let (server, mut client) = start_with(config()).await;
    let tensor = f32s(&[2, 3], &[1.0; 6]);
    let empty = pb::Tensor { data: Vec::new().into(), ..tensor.clone() };
    let header = Some(Part::Header(normalize(NormKind::Batch, empty)));
    let cut = pb::MeasureStatisticsRequest { part: header, data: tensor.data.slice(..20), ..Default::default() };
    for (message, field) in [(cut, "data"), (pb::MeasureStatisticsRequest::default(), "header")] {
        assert_eq!(refused_fields(client.measure_statistics_unary(message).await), [field]);
    }
    let wrong = pb::MeasureGradientsRequest { norm_type: Some(3.0), ..Default::default() };
    assert_eq!(refused_fields(client.measure_gradients_unary(wrong).await), ["norm_type"]);
    for (method, count) in [("MeasureStatisticsUnary", 2.0), ("MeasureGradientsUnary", 1.0)] {
        let series = handled(method, "unary", "INVALID_ARGUMENT");
        until(&format!("{series} is {count}"), async || scrape(&server).await.get(&series) == Some(&count)).await;
    }
}

/// A unary call has one message.
#[test]
fn a_call_without_a_message_or_with_two_is_refused() {
    for (method, message) in [
        ("MeasureGradientsUnary", gradients(vec![piece(0, 7)], vec![]).encode_to_vec()),
        ("Dropout", dropout(0.5, piece(0, 7)).encode_to_vec()),
    ] {
        let whole = framed(&message);
        for frames in [vec![], vec![whole.clone(), whole]] {
            let (direct, codec) = both(method, &[], &frames);
            assert_eq!(direct, codec, "{method}");
            assert_ne!(direct.header("grpc-status"), "0", "{method}");
        }
    }
}
