//! ClipGradientsStream.

use evenkeel::config::{AdmissionConfig, ServerConfig};
use evenkeel_proto::v1 as pb;
use pb::{ClipMode, clip_gradients_stream_request::Part, clip_gradients_stream_response::Part as Answer};
use tonic::{Code, Request, Status};

use super::{CUTS, cut, described, whole};
use crate::harness::{Client, error_info, refusal, refused_fields, start, start_with, violation};

/// What a stream was answered with.
#[derive(Debug, Default)]
struct Answered {
    header: Option<pb::ClipGradientsResponse>,
    /// With their elements.
    gradients: Vec<pb::Tensor>,
    summary: Option<pb::ClipGradientsResponse>,
}

fn message(part: Part) -> pb::ClipGradientsStreamRequest {
    pb::ClipGradientsStreamRequest { part: Some(part) }
}

async fn call(client: &mut Client, messages: Vec<pb::ClipGradientsStreamRequest>) -> Result<Answered, Status> {
    let mut answer = client.clip_gradients_stream(Request::new(tokio_stream::iter(messages))).await?.into_inner();
    let mut all = Answered::default();
    while let Some(message) = answer.message().await? {
        assert_eq!(all.summary, None, "the summary is last");
        match message.part.expect("each message has a part") {
            Answer::Header(header) => assert_eq!(all.header.replace(header), None),
            Answer::Tensor(tensor) => all.gradients.push(tensor),
            Answer::Data(bytes) => {
                let last = all.gradients.last_mut().expect("a tensor precedes its data");
                last.data = [&last.data[..], &bytes].concat().into();
            }
            Answer::Summary(summary) => all.summary = Some(summary),
        }
    }
    assert_eq!(all.header, Some(pb::ClipGradientsResponse::default()));
    Ok(all)
}

/// A request as a stream: its gradients in pieces.
fn stream(request: pb::ClipGradientsRequest, lengths: &[usize]) -> Vec<pb::ClipGradientsStreamRequest> {
    let pb::ClipGradientsRequest { gradients, .. } = &request;
    let parts: Vec<_> = gradients
        .iter()
        .flat_map(|gradient| {
            let tensor = pb::Tensor { data: bytes::Bytes::new(), ..gradient.clone() };
            let pieces = cut(&gradient.data, lengths).into_iter().map(|piece| message(Part::Data(piece.into())));
            std::iter::once(message(Part::Tensor(tensor))).chain(pieces)
        })
        .collect();
    let header = pb::ClipGradientsRequest { gradients: Vec::new(), ..request };
    std::iter::once(message(Part::Header(header))).chain(parts).collect()
}

fn gradients() -> Vec<pb::Tensor> {
    use pb::DataType::{Bfloat16, Float16, Float32, Float64};
    let named = |name: &str, tensor| pb::Tensor { name: name.to_owned(), ..tensor };
    vec![
        named("conv", whole(Float32, &[3, 40_001])),
        named("bias", whole(Float64, &[11])),
        named("nothing", whole(Float32, &[0, 4])),
        named("half", whole(Float16, &[9000])),
        named("scalar", whole(Bfloat16, &[])),
        named("brain", whole(Bfloat16, &[70, 70])),
    ]
}

fn request(mode: ClipMode, threshold: f64) -> pb::ClipGradientsRequest {
    pb::ClipGradientsRequest {
        mode: mode.into(),
        threshold: Some(threshold),
        gradients: gradients(),
        ..Default::default()
    }
}

/// Every way there is to clip: element by element, gradient by gradient, and all together.
fn requests() -> Vec<pb::ClipGradientsRequest> {
    use ClipMode::{Norm, NormPerTensor, Value};
    let norm_type = |norm_type, request| pb::ClipGradientsRequest { norm_type: Some(norm_type), ..request };
    let not_above = |request| pb::ClipGradientsRequest { not_above: true, ..request };
    let reduced = |total, request| pb::ClipGradientsRequest { total_norm: Some(total), ..request };
    vec![
        request(Value, 7.0),
        request(Value, 1e9),
        norm_type(f64::INFINITY, request(Value, 7.0)),
        norm_type(3.0, request(Value, 7.0)),
        reduced(1234.5, request(Norm, 10.0)),
        reduced(f64::INFINITY, request(Norm, 10.0)),
        reduced(0.5, request(Norm, 10.0)),
        request(Norm, 10.0),
        request(Norm, 1e9),
        norm_type(1.0, request(Norm, 10.0)),
        norm_type(2.5, request(Norm, 10.0)),
        not_above(request(Norm, 10.0)),
        request(NormPerTensor, 10.0),
        norm_type(1.0, request(NormPerTensor, 10.0)),
        norm_type(0.5, request(NormPerTensor, 10.0)),
        not_above(request(NormPerTensor, 10.0)),
    ]
}

async fn expect_unary(client: &mut Client, request: &pb::ClipGradientsRequest, lengths: &[usize]) {
    let unary = client.clip_gradients(request.clone()).await.expect("valid").into_inner();
    let answer = call(client, stream(request.clone(), lengths)).await.expect("valid");
    let case = format!("mode {} {:?} {:?} {lengths:?}", request.mode, request.norm_type, request.total_norm);
    assert!(answer.gradients == unary.gradients, "{case}");
    let expected = pb::ClipGradientsResponse { gradients: Vec::new(), ..unary };
    let summary = answer.summary.expect("it is there");
    // NaN is itself.
    assert_eq!(format!("{summary:?}"), format!("{expected:?}"), "{case}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_have_the_bytes_of_the_unary_call() {
    let (_server, mut client) = start().await;
    for request in requests() {
        for lengths in CUTS {
            expect_unary(&mut client, &request, lengths).await;
        }
        let none = pb::ClipGradientsRequest { gradients: Vec::new(), ..request };
        expect_unary(&mut client, &none, &[1]).await;
    }
}

/// Rows 16 and 17: elements that are not finite are refused with the same words, once all have come.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_finite_is_refused_as_in_the_unary_call() {
    let (_server, mut client) = start().await;
    for request in requests() {
        let mut request = pb::ClipGradientsRequest { error_if_nonfinite: true, ..request };
        for (index, value) in [(0, f32::NAN), (0, f32::INFINITY), (0, f32::NEG_INFINITY)] {
            let mut bytes = request.gradients[index].data.to_vec();
            let at = bytes.len() / 2 / 4 * 4;
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            request.gradients[index].data = bytes.into();
            let unary = refusal(client.clip_gradients(request.clone()).await, Code::FailedPrecondition);
            let refused = refusal(call(&mut client, stream(request.clone(), &[4096])).await, Code::FailedPrecondition);
            assert_eq!(refused.message(), unary.message());
            let [refused, unary] = [refused, unary].map(|status| error_info(&status));
            assert_eq!((refused.reason, refused.metadata), (unary.reason, unary.metadata));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_told_its_two_calls() {
    let admission = AdmissionConfig { max_bytes_in_flight: Some(4 << 20), ..Default::default() };
    let config = ServerConfig { admission, max_message_bytes: 1 << 20, ..ServerConfig::on_free_port() };
    let (_server, mut client) = start_with(config).await;
    let large = || message(Part::Tensor(described(pb::DataType::Float32, &[3_000_000])));
    for mode in [ClipMode::Norm, ClipMode::NormPerTensor] {
        let header = pb::ClipGradientsRequest { gradients: Vec::new(), ..request(mode, 1.0) };
        let refused = call(&mut client, vec![message(Part::Header(header)), large()]).await;
        let refused = refusal(refused, Code::ResourceExhausted);
        assert_eq!(error_info(&refused).reason, "NEEDS_TWO_PASSES");
        assert!(refused.message().contains("MeasureGradients"), "{refused:?}");
    }
    // With the norm it takes no memory.
    let gradients = vec![whole(pb::DataType::Float32, &[3_000_000])];
    let request = pb::ClipGradientsRequest { total_norm: Some(3.0), gradients, ..request(ClipMode::Norm, 1.0) };
    let answer = call(&mut client, stream(request.clone(), &[500_000])).await.expect("it fits");
    let (_large, mut client) = start().await;
    assert!(answer.gradients == client.clip_gradients(request).await.expect("valid").into_inner().gradients);
}

/// Row 34.
#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_not_as_described_are_refused() {
    let (_server, mut client) = start().await;
    let tensor = || message(Part::Tensor(described(pb::DataType::Float32, &[10])));
    let data = |len: usize| message(Part::Data(vec![0; len].into()));
    for mode in [ClipMode::Value, ClipMode::NormPerTensor, ClipMode::Norm] {
        let plain = || pb::ClipGradientsRequest { gradients: Vec::new(), ..request(mode, 1.0) };
        let header = || message(Part::Header(plain()));
        let with_gradients = request(mode, 1.0);
        let wrong = pb::ClipGradientsRequest { threshold: Some(-1.0), ..plain() };
        let filled = message(Part::Tensor(whole(pb::DataType::Float32, &[10])));
        let negative = message(Part::Tensor(described(pb::DataType::Float32, &[-1])));
        for (messages, field) in [
            (vec![], "header"),
            (vec![tensor()], "header"),
            (vec![data(4)], "header"),
            (vec![header(), data(4)], "tensor"),
            (vec![header(), header()], "header"),
            (vec![header(), tensor(), data(41)], "data"),
            (vec![header(), tensor(), data(40), data(1)], "data"),
            (vec![header(), tensor(), data(39)], "data"),
            (vec![header(), tensor(), data(39), tensor()], "tensor"),
            (vec![header(), tensor(), tensor()], "tensor"),
            (vec![header(), filled], "tensor.data"),
            (vec![header(), negative], "tensor.shape[0]"),
            (vec![message(Part::Header(with_gradients))], "header.gradients"),
            (vec![message(Part::Header(wrong))], "header.threshold"),
            (vec![pb::ClipGradientsStreamRequest { part: None }], "part"),
        ] {
            let case = format!("{mode:?} {} messages", messages.len());
            assert_eq!(violation(call(&mut client, messages).await).0, field, "{case}");
        }
    }
}

#[tokio::test]
async fn all_faults_of_a_header_are_named() {
    let (_server, mut client) = start().await;
    let header = pb::ClipGradientsRequest { mode: 0, threshold: Some(-1.0), ..request(ClipMode::Norm, 1.0) };
    let fields = refused_fields(call(&mut client, vec![message(Part::Header(header))]).await);
    assert_eq!(fields, ["header.mode", "header.gradients", "header.threshold"]);
}
