//! MeasureGradients: norms in parts, over messages and servers.

use evenkeel::config::{AdmissionConfig, ServerConfig};
use evenkeel_proto::v1 as pb;
use pb::{ClipMode, DataType};
use prost::bytes::Bytes;
use tonic::{Code, Request, Status};

use crate::harness::{Client, clip, error_info, f32s, refusal, refused_fields, start, start_with, tensor, violation};

type Answer = Result<pb::MeasureGradientsResponse, Status>;

async fn measure(client: &mut Client, messages: Vec<pb::MeasureGradientsRequest>) -> Answer {
    client.measure_gradients(tokio_stream::iter(messages)).await.map(tonic::Response::into_inner)
}

fn gradients(gradients: Vec<pb::Tensor>) -> pb::MeasureGradientsRequest {
    pb::MeasureGradientsRequest { gradients, ..Default::default() }
}

fn partials(partials: Vec<pb::NormPartial>) -> pb::MeasureGradientsRequest {
    pb::MeasureGradientsRequest { partials, ..Default::default() }
}

/// What a norm of float32 in float32, or in an order of its own, would get wrong: sizes from 1e-38 to 1e30.
fn values() -> Vec<f32> {
    (0..40_000u32).map(|i| (i as f32 - 17.5) * [1e-38, 1.0, 3.7e3, 1e30][i as usize % 4]).collect()
}

fn piece(values: &[f32]) -> pb::Tensor {
    f32s(&[values.len() as i64], values)
}

/// The parts are measured in any order, in any number of messages and by several servers; the norm has the same bits, and
/// clipping by it gives the bytes of one server that sees everything.
#[tokio::test]
async fn parts_on_three_servers_clip_as_one() {
    let values = values();
    let (_server, mut one) = start().await;
    let mut whole =
        clip(ClipMode::Norm, 1e3, vec![piece(&values), tensor(DataType::Float16, &[2], vec![0, 60, 255, 123])]);
    for norm_type in [1.0, 2.0, f64::INFINITY] {
        whole.norm_type = Some(norm_type);
        let expected = one.clip_gradients(whole.clone()).await.expect("valid").into_inner();

        let cuts = [0, 1, 7, 20_011, 39_999, 40_000];
        let mut merged = Vec::new();
        let mut parts = Vec::new();
        for (server, range) in cuts.windows(2).enumerate().rev() {
            let threads = server % 3 + 1;
            let config = ServerConfig { threads, ..ServerConfig::on_free_port() };
            let (_server, mut client) = start_with(config).await;
            let mut part = vec![piece(&values[range[0]..range[1]])];
            if server == 2 {
                part.push(whole.gradients[1].clone());
            }
            // Half of the part in one message and half in another.
            let (first, rest) = values[range[0]..range[1]].split_at((range[1] - range[0]) / 2);
            let mut messages = vec![gradients(vec![piece(rest)]), gradients(vec![piece(first)])];
            messages[0].norm_type = Some(norm_type);
            messages.extend(part.get(1).map(|half| gradients(vec![half.clone()])));
            let answer = measure(&mut client, messages).await.expect("valid");
            merged.extend(answer.partial);
            parts.push((client, _server, part));
        }
        let message = pb::MeasureGradientsRequest { norm_type: Some(norm_type), ..partials(merged) };
        let all = measure(&mut one, vec![message]).await.expect("valid");
        assert_eq!(all.total_norm.to_bits(), expected.total_norm.to_bits(), "{norm_type}");
        assert_eq!(all.partial.map(|partial| partial.elements), Some(40_002));

        let mut joined = [Vec::new(), Vec::new()];
        for (mut client, server, part) in parts.into_iter().rev() {
            let request =
                pb::ClipGradientsRequest { gradients: part, total_norm: Some(all.total_norm), ..whole.clone() };
            let answer = client.clip_gradients(request).await.expect("valid").into_inner();
            for (joined, gradient) in joined.iter_mut().zip(answer.gradients) {
                joined.extend_from_slice(&gradient.data);
            }
            drop(client);
            server.shutdown_and_wait().await.expect("it stops");
        }
        for (joined, gradient) in joined.iter().zip(&expected.gradients) {
            assert!(joined == &gradient.data, "{norm_type}");
        }
    }
}

/// The partial is what the contract says: an integer that any language can read.
#[tokio::test]
async fn a_partial_is_the_sum_of_squares() {
    let (_server, mut client) = start().await;
    let answer = measure(&mut client, vec![gradients(vec![f32s(&[2], &[3.0, -4.0])])]).await.expect("valid");
    // 25 * 2^2148: 268 bytes and four bits below 25.
    let sum = [&[0; 268][..], &(25u16 << 4).to_le_bytes()].concat();
    let partial = pb::NormPartial { norm_type: 2.0, elements: 2, sum: Bytes::from(sum), ..Default::default() };
    assert_eq!((answer.partial, answer.total_norm), (Some(partial), 5.0));

    let infinity =
        pb::MeasureGradientsRequest { norm_type: Some(f64::INFINITY), ..gradients(vec![f32s(&[2], &[3.0, -4.0])]) };
    let answer = measure(&mut client, vec![infinity]).await.expect("valid");
    let partial = pb::NormPartial { norm_type: f64::INFINITY, elements: 2, largest: 4.0, ..Default::default() };
    assert_eq!((answer.partial, answer.total_norm), (Some(partial), 4.0));
}

#[tokio::test]
async fn nothing_has_norm_0() {
    let (_server, mut client) = start().await;
    let empty = pb::NormPartial { norm_type: 2.0, ..Default::default() };
    for messages in [vec![], vec![gradients(vec![])], vec![gradients(vec![f32s(&[0, 5], &[])]), gradients(vec![])]] {
        let answer = measure(&mut client, messages).await.expect("valid");
        assert_eq!((answer.partial, answer.total_norm), (Some(empty.clone()), 0.0));
    }
}

#[tokio::test]
async fn what_is_not_finite_is_counted() {
    let (_server, mut client) = start().await;
    let odd = f32s(&[5], &[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3.0, -0.0]);
    let answer = measure(&mut client, vec![gradients(vec![odd.clone()]), gradients(vec![f32s(&[1], &[4.0])])]).await;
    let answer = answer.expect("valid");
    let partial = answer.partial.expect("there is one");
    assert_eq!((partial.elements, partial.nan_elements, partial.infinite_elements), (6, 1, 2));
    assert!(answer.total_norm.is_nan());
}

#[tokio::test]
async fn what_does_not_fit_is_named() {
    let (_server, mut client) = start().await;
    let three = pb::MeasureGradientsRequest { norm_type: Some(3.0), ..Default::default() };
    assert_eq!(violation(measure(&mut client, vec![three]).await).0, "norm_type");
    let one = pb::MeasureGradientsRequest { norm_type: Some(1.0), ..Default::default() };
    let two = pb::MeasureGradientsRequest { norm_type: Some(2.0), ..Default::default() };
    assert_eq!(violation(measure(&mut client, vec![gradients(vec![]), two.clone(), one.clone()]).await).0, "norm_type");
    assert!(measure(&mut client, vec![one.clone(), gradients(vec![]), one.clone()]).await.is_ok(), "said again");

    let short = pb::Tensor { data: Bytes::from_static(&[0; 3]), ..f32s(&[1], &[1.0]) };
    let fine = f32s(&[1], &[1.0]);
    assert_eq!(violation(measure(&mut client, vec![gradients(vec![fine, short])]).await).0, "gradients[1].data");

    let of = |change: fn(&mut pb::NormPartial)| {
        let mut partial = pb::NormPartial { norm_type: 2.0, elements: 1, ..Default::default() };
        change(&mut partial);
        vec![partials(vec![pb::NormPartial { norm_type: 2.0, ..Default::default() }, partial])]
    };
    let mut field = async |messages| violation(measure(&mut client, messages).await).0;
    assert_eq!(field(of(|partial| partial.norm_type = 1.0)).await, "partials[1].norm_type");
    assert_eq!(field(of(|partial| partial.norm_type = 0.0)).await, "partials[1].norm_type");
    assert_eq!(field(of(|partial| partial.nan_elements = 2)).await, "partials[1].elements");
    assert_eq!(field(of(|partial| partial.largest = 1.0)).await, "partials[1].largest");
    assert_eq!(field(of(|partial| partial.sum = vec![1; 533].into())).await, "partials[1].sum");
}

/// Row 39: sums and counts that no elements have, alone and together.
#[tokio::test]
async fn partials_of_nothing_that_there_is_are_named() {
    let (server, mut client) = start().await;
    let partial = |elements: u64, sum: Vec<u8>| pb::NormPartial {
        norm_type: 2.0,
        elements,
        sum: sum.into(),
        ..Default::default()
    };
    let full = || vec![0xFF; 532];
    // The largest sum that 2^58 squares can have.
    let large = || partial(1 << 58, [vec![0xFF; 531], vec![1]].concat());
    for (sent, field) in [
        (vec![partial(1, full())], "partials[0].sum"),
        (vec![partial(1 << 59, full())], "partials[0].sum"),
        (vec![partial(3, vec![9]), partial(3, full()), partial(3, full())], "partials[1].sum"),
        (vec![partial(0, vec![1])], "partials[0].sum"),
        (vec![partial(u64::MAX, vec![1])], "partials[0].elements"),
        (vec![partial(u64::MAX, vec![])], "partials[0].elements"),
        (vec![large(), large(), partial(1, vec![1])], "partials[2].elements"),
    ] {
        let (in_one, apart) = (vec![partials(sent.clone())], sent.iter().map(|one| partials(vec![one.clone()])));
        assert_eq!(refused_fields(measure(&mut client, in_one).await)[0], field);
        // In messages of their own each of them is the first.
        let apart = violation(measure(&mut client, apart.collect()).await).0;
        assert_eq!(apart.rsplit('.').next(), field.rsplit('.').next());
    }
    let answer = measure(&mut client, vec![partials(vec![large(), large()])]).await.expect("there may be so many");
    assert_eq!(answer.total_norm, f64::INFINITY);
    let again = answer.partial.expect("there is one");
    assert_eq!(measure(&mut client, vec![partials(vec![again])]).await.expect("as before").total_norm, f64::INFINITY);
    drop(server);
}

/// Row 45: a stream of messages that say nothing.
#[tokio::test]
async fn messages_without_anything_are_nothing() {
    let (_server, mut client) = start().await;
    let one = pb::MeasureGradientsRequest { norm_type: Some(1.0), ..gradients(vec![]) };
    let messages = [vec![one], vec![gradients(vec![]); 100_000], vec![gradients(vec![piece(&[3.0, -4.0])])]].concat();
    assert_eq!(measure(&mut client, messages).await.expect("valid").total_norm, 7.0);
}

/// Each message is held to the limit, not their sum.
#[tokio::test]
async fn messages_above_the_limit_are_refused_and_long_streams_are_not() {
    let limit = 1 << 16;
    let (_server, mut client) =
        start_with(ServerConfig { max_message_bytes: limit, ..ServerConfig::on_free_port() }).await;
    let quarter = || gradients(vec![piece(&vec![1.0; limit / 16])]);
    let answer = measure(&mut client, vec![quarter(); 100]).await.expect("each message fits");
    assert_eq!(answer.total_norm, ((100 * limit / 16) as f64).sqrt());
    let status = refusal(
        measure(&mut client, vec![quarter(), gradients(vec![piece(&vec![1.0; limit / 4])])]).await,
        Code::ResourceExhausted,
    );
    assert_eq!(error_info(&status).reason, "MESSAGE_TOO_LARGE");
    assert!(measure(&mut client, vec![quarter()]).await.is_ok());
}

/// A call whose client stops sending in the middle ends when its time is over, and nobody else waits for it.
#[tokio::test]
async fn a_stream_that_falls_silent_ends_at_its_deadline() {
    use tokio_stream::StreamExt as _;

    let (_server, mut client) = start_with(ServerConfig { threads: 1, ..ServerConfig::on_free_port() }).await;
    let silent = tokio_stream::iter([gradients(vec![piece(&[1.0])])]).chain(tokio_stream::pending());
    let mut request = Request::new(silent);
    request.set_timeout(std::time::Duration::from_millis(200));
    let mut other = client.clone();
    let (silent, answered) =
        tokio::join!(client.measure_gradients(request), measure(&mut other, vec![gradients(vec![piece(&[2.0])])]));
    let code = silent.expect_err("it never ends").code();
    // The client's own clock may be the first to ring; tonic's says CANCELLED.
    assert!(matches!(code, Code::DeadlineExceeded | Code::Cancelled), "{code:?}");
    assert_eq!(answered.expect("valid").total_norm, 2.0);
}

/// Messages that become as much in memory as one call may have follow one another: each is given up before the next is read.
#[tokio::test(flavor = "multi_thread")]
async fn messages_that_were_measured_hold_nothing_any_more() {
    const MESSAGES: usize = 4;
    // Each byte of typed numbers takes eight when it is decoded: 5 MB for each message.
    let elements = 160_000;
    let config = ServerConfig {
        max_message_bytes: 1 << 20,
        admission: AdmissionConfig { max_bytes_in_flight: Some(8 << 20), ..Default::default() },
        ..ServerConfig::on_free_port()
    };
    let (_server, mut client) = start_with(config).await;
    let typed = pb::Tensor { shape: vec![elements], float_data: vec![1.0; elements as usize], ..Default::default() };
    let message = pb::MeasureGradientsRequest { gradients: vec![typed], ..Default::default() };
    let answer = client.measure_gradients(tokio_stream::iter(vec![message; MESSAGES])).await;
    let partial = answer.expect("there is room for each").into_inner().partial.expect("it is there");
    assert_eq!(partial.elements, MESSAGES as u64 * elements as u64);
}
