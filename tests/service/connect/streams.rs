//! Streams, in both encodings.

use bytes::Bytes;
use evenkeel::config::ServerConfig;
use evenkeel_proto::v1 as pb;
use http_body_util::BodyExt as _;
use prost::Message as _;
use serde_json::{Value, json};

use super::{
    base64,
    client::{BOTH, JSON_STREAM, PROTO_STREAM, Version},
    start,
};
use crate::{
    harness::{dropout, f32s},
    peer::framed,
    web::client::grpc,
};

fn stream(messages: &[Vec<u8>]) -> Vec<u8> {
    messages.iter().flat_map(|message| framed(message)).collect()
}

fn texts(messages: &[Value]) -> Vec<u8> {
    stream(&messages.iter().map(|message| message.to_string().into_bytes()).collect::<Vec<_>>())
}

/// The messages of a dropout of 50,000 elements: a header, and then the elements, cut anywhere.
fn dropped() -> (Vec<pb::DropoutStreamRequest>, Vec<Value>) {
    use pb::dropout_stream_request::Part;
    let values: Vec<f32> = (0..50_000u32).map(|i| i as f32).collect();
    let whole = f32s(&[50_000], &values);
    let described = pb::Tensor { data: Bytes::new(), ..whole.clone() };
    let part = |part| pb::DropoutStreamRequest { part: Some(part) };
    let mut messages = vec![part(Part::Header(dropout(0.5, described)))];
    let mut texts = vec![json!({ "header": { "p": 0.5, "seed": 42, "input": { "dtype": 1, "shape": [50_000] } } })];
    for chunk in whole.data.chunks(70_001) {
        messages.push(part(Part::Data(Bytes::copy_from_slice(chunk))));
        texts.push(json!({ "data": base64(chunk) }));
    }
    (messages, texts)
}

/// The elements of a dropout's stream are those that gRPC's stream has, in both encodings.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_tensors_has_the_bytes_of_grpc() {
    let server = start(ServerConfig::on_free_port()).await;
    let (messages, texts_of) = dropped();
    let messages = stream(&messages.iter().map(|message| message.encode_to_vec()).collect::<Vec<_>>());
    let expected = grpc(&server, super::SERVICE, "DropoutStream", messages.clone().into()).await;
    for version in BOTH {
        let answer = version.call(&server, "DropoutStream", PROTO_STREAM, &[], messages.clone()).await;
        assert_eq!((answer.http, answer.header("content-type")), (200, PROTO_STREAM));
        let (found, end) = answer.messages();
        let found = stream(&found.iter().map(|message| message.to_vec()).collect::<Vec<_>>());
        assert!(found == expected.messages, "{version:?}");
        assert_eq!(end, json!({}));

        let answer = version.call(&server, "DropoutStream", JSON_STREAM, &[], texts(&texts_of)).await;
        assert_eq!((answer.http, answer.header("content-type")), (200, JSON_STREAM));
        let (found, end) = answer.messages();
        assert_eq!(end, json!({}));
        let mut rest = &expected.messages[..];
        for message in found {
            let message: Value = serde_json::from_slice(&message).expect("JSON");
            let length = u32::from_be_bytes([rest[1], rest[2], rest[3], rest[4]]) as usize;
            let (as_grpc, after) = rest[5..].split_at(length);
            rest = after;
            let part = pb::DropoutStreamResponse::decode(as_grpc).expect("a message").part.expect("a part");
            use pb::dropout_stream_response::Part;
            match part {
                Part::Data(data) => assert!(message == json!({ "data": base64(&data) })),
                Part::Header(_) => assert_eq!(message["header"]["output"]["shape"], json!(["50000"])),
                Part::Summary(summary) => assert_eq!(message["summary"]["kept"], json!(summary.kept.to_string())),
                Part::BackwardHeader(_) | Part::Mask(_) => panic!("nobody asked for it: {message}"),
            }
        }
        assert!(rest.is_empty(), "{version:?}");
    }
}

/// A stream of requests with one answer, and an error within a stream, which is in its end.
#[tokio::test]
async fn the_end_of_a_stream_has_its_error() {
    let server = start(ServerConfig::on_free_port()).await;
    for version in BOTH {
        let measured = texts(&[
            json!({ "gradients": [{ "shape": [1], "floatData": [3] }] }),
            json!({ "gradients": [{ "shape": [1], "floatData": [4] }] }),
        ]);
        let answer = version.call(&server, "MeasureGradients", JSON_STREAM, &[], measured).await;
        let (messages, end) = answer.messages();
        let norm: Value = serde_json::from_slice(&messages[0]).expect("JSON");
        assert_eq!((messages.len(), &norm["totalNorm"], end), (1, &json!(5.0), json!({})));

        for (content_type, body, field) in [
            (JSON_STREAM, texts(&[json!({ "gradients": [{ "shape": [2], "floatData": [3] }] })]), "gradients[0]."),
            (JSON_STREAM, texts(&[json!({}), json!({ "gradient": 1 })]), "gradient: "),
            (
                PROTO_STREAM,
                stream(&[pb::MeasureGradientsRequest { norm_type: Some(3.0), ..Default::default() }.encode_to_vec()]),
                "norm_type: ",
            ),
        ] {
            let answer = version.call(&server, "MeasureGradients", content_type, &[], body).await;
            assert_eq!((answer.http, answer.header("content-type")), (200, content_type));
            let (messages, end) = answer.messages();
            assert_eq!((messages.len(), &end["error"]["code"]), (0, &json!("invalid_argument")));
            let message = end["error"]["message"].as_str().expect("text");
            assert!(message.starts_with(field), "{message}");
            let violation = &end["error"]["details"][0]["debug"]["fieldViolations"][0]["field"];
            assert!(message.starts_with(violation.as_str().expect("text")), "{end}");
        }
        // The messages are cut off, and one is not as its prefix has it.
        for wrong in [&b"\0\0\0\0\x09{}"[..], b"\0\0\0", b"\x04\0\0\0\0", b"\x01\0\0\0\x02{}"] {
            let answer = version.call(&server, "MeasureGradients", JSON_STREAM, &[], wrong.to_vec()).await;
            assert_eq!(answer.messages().1["error"]["code"], json!("internal"), "{wrong:?}");
        }
        let metadata =
            version.call(&server, "MeasureGradients", JSON_STREAM, &[("x-long", &"x".repeat(17 << 10))], "").await;
        let (_, end) = metadata.messages();
        assert_eq!(end["metadata"], json!({ "grpc-retry-pushback-ms": ["-1"] }));
    }
}

/// Each answer of a stream arrives when it is made, before the stream ends.
#[tokio::test]
async fn a_stream_of_answers_arrives_as_it_is_made() {
    let server = start(ServerConfig::on_free_port()).await;
    for version in BOTH {
        let question = http_body_util::combinators::BoxBody::new(http_body_util::Full::new(framed(b"{}")));
        let headers = [("content-type", JSON_STREAM)];
        let mut body = version.send(&server, "grpc.health.v1.Health/Watch", &headers, question).await.into_body();
        let first = body.frame().await.expect("it is open").expect("an answer").into_data().expect("data");
        assert_eq!(&first[5..], br#"{"status":"SERVING"}"#, "{version:?}");
    }
    let question = texts(&[json!({ "listServices": "" })]);
    let path = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let body = http_body_util::combinators::BoxBody::new(http_body_util::Full::new(question.into()));
    let response = Version::Http2.send(&server, path, &[("content-type", JSON_STREAM)], body).await;
    let (messages, end) = super::client::Answer::of(response).await.messages();
    assert_eq!((messages.len(), end), (1, json!({})));
    assert!(String::from_utf8_lossy(&messages[0]).contains("evenkeel.v1.TensorOpsService"));
}
