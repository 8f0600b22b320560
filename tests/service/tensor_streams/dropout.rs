//! DropoutStream: forward and backward.

use evenkeel::config::{Encoding, ServerConfig};
use evenkeel_proto::v1 as pb;
use pb::{DropoutKind, dropout_stream_request::Part, dropout_stream_response::Part as Answer};
use prost::Message as _;
use tonic::{Code, Request, Status};

use super::{CUTS, DTYPES, cut, data, described, whole};
use crate::{
    compression::{compress, flagged},
    direct::send,
    harness::{Client, refusal, start, start_with, violation},
    peer::framed,
};

/// What a stream was answered with.
#[derive(Debug, Default, PartialEq)]
struct Answered {
    header: Option<pb::DropoutResponse>,
    backward_header: Option<pb::DropoutBackwardResponse>,
    data: Vec<u8>,
    mask: Vec<u8>,
    summary: Option<pb::DropoutResponse>,
    longest: usize,
}

fn message(part: Part) -> pb::DropoutStreamRequest {
    pb::DropoutStreamRequest { part: Some(part) }
}

async fn call(client: &mut Client, messages: Vec<pb::DropoutStreamRequest>) -> Result<Answered, Status> {
    let mut answer = client.dropout_stream(Request::new(tokio_stream::iter(messages))).await?.into_inner();
    let mut all = Answered::default();
    while let Some(message) = answer.message().await? {
        assert_eq!(all.summary, None, "the summary is last");
        match message.part.expect("each message has a part") {
            Answer::Header(header) => {
                assert_eq!((all.data.len(), all.mask.len()), (0, 0), "the header is first");
                assert_eq!(all.header.replace(header), None);
            }
            Answer::BackwardHeader(header) => {
                assert_eq!(all.data.len(), 0, "the header is first");
                assert_eq!(all.backward_header.replace(header), None);
            }
            Answer::Data(bytes) => {
                all.longest = all.longest.max(bytes.len());
                all.data.extend_from_slice(&bytes);
            }
            Answer::Mask(bytes) => {
                all.longest = all.longest.max(bytes.len());
                all.mask.extend_from_slice(&bytes);
            }
            Answer::Summary(summary) => all.summary = Some(summary),
        }
    }
    Ok(all)
}

/// A header, and these bytes in pieces.
fn stream(header: Part, bytes: &[u8], lengths: &[usize]) -> Vec<pb::DropoutStreamRequest> {
    let pieces = cut(bytes, lengths).into_iter().map(|piece| message(Part::Data(piece.into())));
    std::iter::once(message(header)).chain(pieces).collect()
}

fn request(kind: DropoutKind, input: pb::Tensor) -> pb::DropoutRequest {
    let channel_axis = matches!(kind, DropoutKind::Channel | DropoutKind::FeatureAlpha).then_some(-1);
    pb::DropoutRequest {
        p: Some(0.3),
        seed: 42,
        offset: 5,
        kind: kind.into(),
        return_mask: true,
        channel_axis,
        input: Some(input),
        ..Default::default()
    }
}

fn backward(request: pb::DropoutRequest) -> pb::DropoutBackwardRequest {
    let pb::DropoutRequest { p, seed, offset, kind, scaling, return_mask, channel_axis, input } = request;
    pb::DropoutBackwardRequest { p, seed, offset, kind, scaling, return_mask, channel_axis, grad_output: input }
}

const KINDS: [DropoutKind; 4] =
    [DropoutKind::Element, DropoutKind::Channel, DropoutKind::Alpha, DropoutKind::FeatureAlpha];

#[tokio::test(flavor = "multi_thread")]
async fn streams_have_the_bytes_of_the_unary_calls() {
    let (_server, mut client) = start().await;
    for ((dtype, _), kind) in DTYPES.into_iter().flat_map(|dtype| KINDS.map(|kind| (dtype, kind))) {
        let shape = [3, 1201, 17];
        let unary = client.dropout(request(kind, whole(dtype, &shape))).await.expect("valid").into_inner();
        let gradient =
            client.dropout_backward(backward(request(kind, whole(dtype, &shape)))).await.expect("valid").into_inner();
        let (output, grad_input) = (unary.output.expect("there is one"), gradient.grad_input.expect("there is one"));
        let bytes = data(dtype, 3 * 1201 * 17);
        for lengths in CUTS {
            let header = request(kind, described(dtype, &shape));
            let answer = call(&mut client, stream(Part::Header(header.clone()), &bytes, lengths)).await;
            let answer = answer.expect("valid");
            assert!(answer.data == output.data && answer.mask == unary.mask, "{kind:?} {dtype:?} {lengths:?}");
            let expected = pb::DropoutResponse { kept: unary.kept, ..Default::default() };
            assert_eq!(answer.summary, Some(expected));
            let expected = pb::DropoutResponse { output: Some(described(dtype, &shape)), ..Default::default() };
            assert_eq!(answer.header, Some(expected));

            let answer = call(&mut client, stream(Part::BackwardHeader(backward(header)), &bytes, lengths)).await;
            let answer = answer.expect("valid");
            assert!(answer.data == grad_input.data, "{kind:?} {dtype:?} {lengths:?}");
            assert_eq!((answer.mask.len(), answer.summary), (0, Some(pb::DropoutResponse::default())));
            let expected = pb::DropoutBackwardResponse { grad_input: Some(described(dtype, &shape)) };
            assert_eq!(answer.backward_header, Some(expected));
        }
    }
}

/// One byte in a message, and then in many.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_one_by_one_are_enough() {
    let (_server, mut client) = start().await;
    let shape = [5, 61];
    for (dtype, size) in DTYPES {
        let unary =
            client.dropout(request(DropoutKind::Element, whole(dtype, &shape))).await.expect("valid").into_inner();
        let header = request(DropoutKind::Element, described(dtype, &shape));
        let answer = call(&mut client, stream(Part::Header(header), &data(dtype, 5 * 61), &[1])).await.expect("valid");
        assert!(answer.data == unary.output.expect("there is one").data && answer.mask == unary.mask);
        assert_eq!(answer.longest, 5 * 61 * size, "it is short enough for one chunk");
    }
}

/// Chunks are as long as the client's, but not below 64 KiB nor above the setting.
#[tokio::test(flavor = "multi_thread")]
async fn chunks_are_no_longer_than_the_client_and_the_setting_want() {
    const SETTING: usize = 200_000;
    let (_server, mut client) =
        start_with(ServerConfig { max_stream_chunk_bytes: SETTING, ..ServerConfig::on_free_port() }).await;
    let info = client.get_server_info(pb::GetServerInfoRequest {}).await.expect("valid").into_inner();
    assert_eq!(info.max_stream_chunk_bytes, SETTING as u64);
    let bytes = data(pb::DataType::Float32, 250_000);
    for (lengths, longest) in
        [(&[100_usize][..], 65_536), (&[65_536], 65_536), (&[80_000], 80_000), (&[300_000], SETTING)]
    {
        let header = request(DropoutKind::Element, described(pb::DataType::Float32, &[250_000]));
        let answer = call(&mut client, stream(Part::Header(header), &bytes, lengths)).await.expect("valid");
        // Whole units of eight elements.
        assert_eq!(answer.longest, longest / 32 * 32, "{lengths:?}");
    }
}

/// Without elements there are no data; draws of channels there may be.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_comes_back_as_nothing() {
    let (_server, mut client) = start().await;
    for (kind, shape) in
        [(DropoutKind::Element, &[0][..]), (DropoutKind::Channel, &[3, 5, 0]), (DropoutKind::Channel, &[0, 4, 7])]
    {
        let request = |input| pb::DropoutRequest { channel_axis: None, ..request(kind, input) };
        let unary = client.dropout(request(whole(pb::DataType::Float32, shape))).await.expect("valid").into_inner();
        let header = Part::Header(request(described(pb::DataType::Float32, shape)));
        let answer = call(&mut client, vec![message(header)]).await.expect("valid");
        assert!(answer.data.is_empty() && answer.mask == unary.mask, "{kind:?} {shape:?}");
        assert_eq!(answer.summary.expect("it is there").kept, 0);
    }
}

/// Row 34: what is wrong with a stream is said by field.
#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_not_as_described_are_refused() {
    let (_server, mut client) = start().await;
    let input = || described(pb::DataType::Float32, &[10]);
    let header = || message(Part::Header(request(DropoutKind::Element, input())));
    let backward_header = || message(Part::BackwardHeader(backward(request(DropoutKind::Element, input()))));
    let data = |len: usize| message(Part::Data(vec![0; len].into()));
    let with_elements = pb::DropoutRequest {
        input: Some(whole(pb::DataType::Float32, &[10])),
        ..request(DropoutKind::Element, input())
    };
    let typed = pb::Tensor { float_data: vec![1.0; 10], ..input() };
    let with_numbers = pb::DropoutRequest { input: Some(typed), ..request(DropoutKind::Element, input()) };
    let wrong = pb::DropoutRequest { p: Some(2.0), ..request(DropoutKind::Element, input()) };
    let without_input = pb::DropoutRequest { input: None, ..request(DropoutKind::Element, input()) };
    let large = request(DropoutKind::Channel, described(pb::DataType::Float32, &[1 << 40, 0]));
    for (messages, field) in [
        (vec![], "header"),
        (vec![data(4), header()], "header"),
        (vec![data(0), header()], "header"),
        (vec![header(), data(41)], "data"),
        (vec![header(), data(40), data(0), data(1)], "data"),
        (vec![header()], "data"),
        (vec![header(), data(39)], "data"),
        (vec![header(), data(20), header()], "header"),
        (vec![header(), data(40), backward_header()], "backward_header"),
        (vec![backward_header(), header()], "header"),
        (vec![pb::DropoutStreamRequest { part: None }], "part"),
        (vec![message(Part::Header(with_elements))], "header.input.data"),
        (vec![message(Part::Header(with_numbers))], "header.input.float_data"),
        (vec![message(Part::Header(wrong.clone()))], "header.p"),
        (vec![message(Part::BackwardHeader(backward(wrong)))], "backward_header.p"),
        (vec![message(Part::Header(without_input))], "header.input"),
        (vec![message(Part::Header(large))], "header.input.shape"),
    ] {
        let case = format!("{messages:?}");
        assert_eq!(violation(call(&mut client, messages).await).0, field, "{case}");
    }
    // A message of nonsense.
    let header = pb::DropoutRequest { kind: 99, ..request(DropoutKind::Element, input()) };
    refusal(call(&mut client, vec![message(Part::Header(header))]).await, Code::InvalidArgument);
}

/// The messages of an answer, without their prefixes.
fn messages_of(mut bytes: &[u8]) -> Vec<pb::DropoutStreamResponse> {
    let mut messages = Vec::new();
    while let Some((prefix, rest)) = bytes.split_first_chunk::<5>() {
        let [0, length @ ..] = *prefix else { panic!("it is not compressed") };
        let (message, rest) = rest.split_at(u32::from_be_bytes(length) as usize);
        messages.push(pb::DropoutStreamResponse::decode(message).expect("it is a message"));
        bytes = rest;
    }
    messages
}

/// Messages that come compressed, or some of them, have the same answer.
#[tokio::test(flavor = "multi_thread")]
async fn compressed_streams_have_the_same_bytes() {
    let compression = vec![Encoding::Gzip, Encoding::Zstd];
    let (server, mut client) = start_with(ServerConfig { compression, ..ServerConfig::on_free_port() }).await;
    let shape = [50, 1201];
    let unary = client.dropout(request(DropoutKind::Element, whole(pb::DataType::Float32, &shape))).await;
    let output = unary.expect("valid").into_inner().output.expect("there is one");
    let header = request(DropoutKind::Element, described(pb::DataType::Float32, &shape));
    let sent = stream(Part::Header(header), &data(pb::DataType::Float32, 50 * 1201), &[70_000, 3, 0]);
    for (encoding, name) in [(Encoding::Gzip, "gzip"), (Encoding::Zstd, "zstd")] {
        let messages = sent.iter().enumerate().flat_map(|(index, message)| {
            let message = message.encode_to_vec();
            if index % 4 == 3 { framed(&message).to_vec() } else { flagged(&compress(encoding, &message)) }
        });
        let bytes: Vec<u8> = messages.collect();
        let frames = bytes.chunks(5000).map(bytes::Bytes::copy_from_slice).collect();
        let answer = send(&server, "DropoutStream", &[("grpc-encoding", name)], frames).await;
        let answers = messages_of(&answer.data);
        let data = answers.iter().filter_map(|message| match &message.part {
            Some(Answer::Data(data)) => Some(&data[..]),
            _ => None,
        });
        assert!(data.collect::<Vec<_>>().concat() == output.data, "{name}");
        assert!(matches!(answers.last().and_then(|last| last.part.as_ref()), Some(Answer::Summary(_))), "{name}");
    }
}
