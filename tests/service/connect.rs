//! Connect's protocol.

mod client;
mod documented;
mod errors;
mod http1;
mod limits;
mod recorded;
mod spoken;
mod streams;

use evenkeel::{
    config::{Encoding, ServerConfig},
    server::Running,
};
use evenkeel_proto::v1 as pb;
use prost::Message as _;
use serde_json::json;
use tonic::Code;

use self::client::{BOTH, JSON, PROTO, SERVICE, Version};
use crate::{
    compression::{compress, decompress},
    harness::{dropout, f32s},
    metrics::{config, handled, scrape},
    peer::framed,
    until::until,
    web::{calls, client::grpc},
};

/// The JSON of the documentation's first call.
const FIRST: &str = r#"{"kind":"NORM_KIND_LAYER","input":{"shape":[1,4],"floatData":[1,2,3,4]}}"#;

async fn start(config: ServerConfig) -> Running {
    Running::start(config).await.expect("the server starts")
}

/// A server with the default settings answers curl.
#[tokio::test]
async fn a_line_of_json_is_answered() {
    let server = start(ServerConfig::on_free_port()).await;
    let input = pb::Tensor { shape: vec![1, 4], float_data: vec![1.0, 2.0, 3.0, 4.0], ..Default::default() };
    let request = pb::NormalizeRequest { kind: pb::NormKind::Layer.into(), input: Some(input), ..Default::default() };
    let expected = grpc(&server, SERVICE, "Normalize", framed(&request.encode_to_vec())).await;
    let expected = pb::NormalizeResponse::decode(&expected.messages[5..]).expect("it is right");
    let output = expected.output.expect("there is one");
    assert_eq!(output.float_data.len(), 4);
    for version in BOTH {
        let answer = version.call(&server, "Normalize", JSON, &[], FIRST).await;
        assert_eq!((answer.http, answer.header("content-type")), (200, JSON), "{answer:?}");
        let answer = answer.json();
        let values = answer["output"]["floatData"].as_array().expect("there are some").iter();
        let values: Vec<f32> = values.map(|value| value.to_string().parse().expect("a number")).collect();
        assert_eq!(values, output.float_data, "{version:?}");
        assert_eq!(answer["axes"], json!([1]));
        assert_eq!(answer["output"]["shape"], json!(["1", "4"]));
        assert_eq!(answer["output"]["dtype"], json!("DATA_TYPE_FLOAT32"));
    }
}

/// The bytes of an answer, and the code and details of an error, are those of gRPC, whether the length of the request is said or
/// not.
#[tokio::test(flavor = "multi_thread")]
async fn unary_calls_in_protobuf_have_the_bytes_of_grpc() {
    let server = start(ServerConfig::on_free_port()).await;
    let (mut right, mut wrong) = (0, 0);
    for (index, (method, message)) in calls().into_iter().enumerate() {
        if method == "MeasureGradients" {
            continue;
        }
        let expected = grpc(&server, SERVICE, method, framed(&message)).await;
        for version in BOTH {
            let whole = version.call(&server, method, PROTO, &[], message.clone()).await;
            let in_frames = version.call_in_frames(&server, method, &[("content-type", PROTO)], &message, 60_000).await;
            for answer in [whole, in_frames] {
                if expected.code() == Code::Ok {
                    right += 1;
                    assert_eq!((answer.http, answer.header("content-type")), (200, PROTO), "{index}");
                    assert!(answer.body == expected.messages[5..], "{version:?} {method} {index}");
                } else {
                    wrong += 1;
                    let error = errors::status_of(&answer);
                    let status = expected.status();
                    assert_eq!((error.code(), error.message()), (status.code(), status.message()), "{method} {index}");
                    assert_eq!(error.details(), errors::details_of(&status), "{method} {index}");
                }
            }
        }
    }
    assert_eq!((right, wrong), (4 * 10, 4 * 6));
}

/// A tensor in JSON, as base64 of many frames, and its answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_tensor_in_json_has_the_bytes_of_grpc() {
    let server = start(ServerConfig::on_free_port()).await;
    let values: Vec<f32> = (0..300_000u64).map(|i| (i * i % 1009) as f32).collect();
    let message = dropout(0.3, f32s(&[3, 100_000], &values));
    let expected = grpc(&server, SERVICE, "Dropout", framed(&message.encode_to_vec())).await;
    let expected = pb::DropoutResponse::decode(&expected.messages[5..]).expect("it is right");
    let input = message.input.expect("there is one");
    let text = json!({
        "p": 0.3, "seed": "42", "input": { "dtype": 1, "shape": input.shape, "data": base64(&input.data) },
    });
    for version in BOTH {
        let text = text.to_string();
        let whole = version.call(&server, "Dropout", JSON, &[], text.clone()).await;
        let in_frames =
            version.call_in_frames(&server, "Dropout", &[("content-type", JSON)], text.as_bytes(), 5000).await;
        for answer in [whole, in_frames] {
            assert_eq!(answer.http, 200, "{:?}", answer.json());
            let answer = answer.json();
            let output = expected.output.as_ref().expect("there is one");
            assert!(answer["output"]["data"] == json!(base64(&output.data)), "{version:?}");
            assert_eq!(answer["kept"], json!(expected.kept.to_string()));
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}

/// Health and reflection are services like others.
#[tokio::test]
async fn health_is_answered() {
    let server = start(ServerConfig::on_free_port()).await;
    for version in BOTH {
        for path in ["grpc.health.v1.Health/Check", "grpc.health.v1.Health/Check?x=y"] {
            let body = http_body_util::combinators::BoxBody::new(http_body_util::Full::new("{}".into()));
            let response = version.send(&server, path, &[("content-type", JSON)], body).await;
            let answer = client::Answer::of(response).await;
            assert_eq!((answer.http, answer.json()), (200, json!({ "status": "SERVING" })), "{version:?}");
        }
    }
}

/// A compressed message, and its compressed answer, in both encodings.
#[tokio::test]
async fn messages_may_be_compressed() {
    let compression = vec![Encoding::Gzip, Encoding::Zstd];
    let server = start(ServerConfig { compression, ..ServerConfig::on_free_port() }).await;
    let message = dropout(0.3, f32s(&[1000], &[1.5; 1000])).encode_to_vec();
    let zeros = format!(r#"{{"p":0.5,"input":{{"shape":[2000],"floatData":[{}1]}}}}"#, "1,".repeat(1999));
    for (content_type, message) in [(PROTO, message), (JSON, zeros.into_bytes())] {
        let plain = Version::Http1.call(&server, "Dropout", content_type, &[], message.clone()).await;
        assert_eq!(plain.http, 200);
        assert_eq!((plain.header("content-encoding"), plain.header("accept-encoding")), ("", "identity,gzip,zstd"));
        for (version, encoding) in [(Version::Http1, Encoding::Gzip), (Version::Http2, Encoding::Zstd)] {
            let name = if encoding == Encoding::Gzip { "gzip" } else { "zstd" };
            let headers =
                [("content-type", content_type), ("content-encoding", name), ("accept-encoding", "zstd, gzip")];
            let packed = compress(encoding, &message);
            let whole = version.call(&server, "Dropout", content_type, &headers[1..], packed.clone()).await;
            let in_frames = version.call_in_frames(&server, "Dropout", &headers, &packed, 100).await;
            for answer in [whole, in_frames] {
                assert_eq!((answer.http, answer.header("content-encoding")), (200, name), "{version:?} {answer:?}");
                assert!(decompress(encoding, &answer.body) == plain.body, "{version:?} {content_type}");
            }
        }
    }
}

/// Each call is counted once, with the code of its answer, and holds nothing after it.
#[tokio::test]
async fn calls_are_counted_as_what_they_are() {
    let server = start(config()).await;
    for version in BOTH {
        for (content_type, right) in [(PROTO, dropout(0.0, f32s(&[1], &[1.0])).encode_to_vec()), (JSON, ONE.into())] {
            assert_eq!(version.call(&server, "Dropout", content_type, &[], right.clone()).await.http, 200);
            assert_eq!(
                version.call(&server, "Dropout", content_type, &[], vec![b'['; 9]).await.error().0,
                if content_type == JSON { "invalid_argument" } else { "internal" }
            );
        }
    }
    until("all calls have ended", async || scrape(&server).await["evenkeel_bytes_in_flight"] == 0.0).await;
    for (code, calls) in [("OK", 4.0), ("INVALID_ARGUMENT", 2.0), ("INTERNAL", 2.0)] {
        until(code, async || scrape(&server).await[&handled("Dropout", "unary", code)] == calls).await;
    }
    let series = scrape(&server).await;
    let all: f64 =
        series.iter().filter(|(name, _)| name.starts_with("grpc_server_handled_total")).map(|(_, n)| n).sum();
    assert_eq!(all, 8.0);
}

/// A dropout of one element.
const ONE: &str = r#"{"p":0,"input":{"shape":[1],"floatData":[1]}}"#;
