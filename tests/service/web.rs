//! gRPC-Web, which browsers use.

pub(crate) mod client;
mod cors;
mod limits;
mod slow;

use evenkeel::{
    config::{Encoding, SecurityConfig, ServerConfig, WebConfig},
    server::Running,
};
use evenkeel_proto::v1 as pb;
use http_body_util::BodyExt as _;
use prost::Message as _;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use self::client::{ALL, Answer, Kind, Version, Way, grpc};
use crate::{
    compression::{compress, decompress, flagged},
    harness::{clip, dropout, error_info, f32s, normalize, tensor},
    metrics::{handled, scrape},
    peer::framed,
    until::until,
};

const SERVICE: &str = "evenkeel.v1.TensorOpsService";

/// The settings of a server that any web page can call.
fn any_origin() -> ServerConfig {
    let web = WebConfig { grpc_web: true, connect: None, cors_origins: vec!["*".to_owned()] };
    ServerConfig { web, ..ServerConfig::on_free_port() }
}

async fn start(config: ServerConfig) -> Running {
    Running::start(config).await.expect("the server starts")
}

/// Calls of every method, valid and invalid, small ones and ones of several frames.
pub(crate) fn calls() -> Vec<(&'static str, Vec<u8>)> {
    let values: Vec<f32> = (0..700_000u64).map(|i| (i * i % 1009) as f32).collect();
    let (small, large) = (|| f32s(&[2, 3], &values[1..7]), || f32s(&[7, 100_000], &values[..700_000]));
    let layer = || normalize(pb::NormKind::Layer, small());
    let measure = |gradients| pb::MeasureGradientsRequest { gradients, ..Default::default() }.encode_to_vec();
    let backward = |input| pb::NormalizeBackwardRequest {
        kind: pb::NormKind::Layer.into(),
        input: Some(input),
        grad_output: Some(small()),
        ..Default::default()
    };
    let undropped =
        pb::DropoutBackwardRequest { p: Some(0.5), seed: 1, grad_output: Some(small()), ..Default::default() };
    let part = Some(pb::measure_statistics_request::Part::Header(normalize(pb::NormKind::Layer, large())));
    vec![
        ("Normalize", layer().encode_to_vec()),
        ("Normalize", normalize(pb::NormKind::Layer, large()).encode_to_vec()),
        (
            "Normalize",
            pb::NormalizeRequest { return_statistics: true, ..normalize(pb::NormKind::Layer, large()) }.encode_to_vec(),
        ),
        ("NormalizeBackward", backward(small()).encode_to_vec()),
        ("Dropout", dropout(0.3, small()).encode_to_vec()),
        ("Dropout", dropout(0.3, large()).encode_to_vec()),
        ("DropoutBackward", undropped.encode_to_vec()),
        ("ClipGradients", clip(pb::ClipMode::Norm, 1.0, vec![small(), large()]).encode_to_vec()),
        ("MeasureGradients", measure(vec![small(), large()])),
        ("MeasureGradientsUnary", measure(vec![small(), large()])),
        ("MeasureStatisticsUnary", pb::MeasureStatisticsRequest { part, ..Default::default() }.encode_to_vec()),
        // These are refused: a wrong argument, a missing tensor, wrong data, a norm that is not finite, no protobuf,
        // and no such method.
        ("Dropout", dropout(2.0, small()).encode_to_vec()),
        ("Normalize", pb::NormalizeRequest::default().encode_to_vec()),
        ("Normalize", normalize(pb::NormKind::Layer, tensor(pb::DataType::Float32, &[3], vec![0; 11])).encode_to_vec()),
        (
            "ClipGradients",
            pb::ClipGradientsRequest {
                error_if_nonfinite: true,
                ..clip(pb::ClipMode::Norm, 1.0, vec![f32s(&[1], &[f32::NAN])])
            }
            .encode_to_vec(),
        ),
        ("Dropout", vec![0xFF; 30]),
        ("NoSuchMethod", Vec::new()),
    ]
}

/// The bits of an answer, and the status with its details, are the same in every way of calling.
#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_answered_with_the_same_bits() {
    let server = start(any_origin()).await;
    let (mut right, mut wrong) = (0, 0);
    for (index, (method, message)) in calls().into_iter().enumerate() {
        let expected = grpc(&server, SERVICE, method, framed(&message)).await;
        if expected.code() == Code::Ok {
            right += 1
        } else {
            wrong += 1
        }
        for way in ALL {
            let answer = way.call(&server, method, framed(&message)).await;
            assert_eq!(answer.http, 200, "{way:?} {index}");
            assert!(answer.messages == expected.messages, "{way:?} {method} {index}");
            let (status, as_grpc) = (answer.status(), expected.status());
            assert_eq!((status.code(), status.message()), (as_grpc.code(), as_grpc.message()), "{way:?} {index}");
            assert_eq!(status.details(), as_grpc.details(), "{way:?} {index}");
            assert_eq!(answer.content_type, way.kind.answered_as(), "{way:?} {index}");
        }
    }
    assert_eq!((right, wrong), (11, 6));
}

/// Each answer of a stream arrives when it is made, before the stream ends.
#[tokio::test]
async fn a_stream_of_answers_arrives_as_it_is_made() {
    let server = start(any_origin()).await;
    for way in ALL {
        let question = framed(&HealthCheckRequest::default().encode_to_vec());
        let mut body = way.send(&server, "grpc.health.v1.Health", "Watch", &[], question).await.into_body();
        let first = body.frame().await.expect("it is open").expect("an answer").into_data().expect("data");
        let first = way.kind.decode(&first);
        let answer = HealthCheckResponse::decode(&first[5..]).expect("an answer");
        assert_eq!(answer.status, 1, "{way:?}");
    }
}

#[tokio::test]
async fn deadlines_and_tokens_hold() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("tokens");
    std::fs::write(&path, "secret\n").expect("it can be written");
    let security = SecurityConfig { auth_token_file: Some(path), ..Default::default() };
    let server = start(ServerConfig { security, ..any_origin() }).await;
    let message = framed(&dropout(0.0, f32s(&[1], &[1.0])).encode_to_vec());
    for way in ALL {
        for (headers, code) in [
            (&[][..], Code::Unauthenticated),
            (&[("authorization", "Bearer wrong")], Code::Unauthenticated),
            (&[("authorization", "Bearer secret")], Code::Ok),
            (&[("authorization", "Bearer secret"), ("grpc-timeout", "0n")], Code::DeadlineExceeded),
            (&[("authorization", "Bearer secret"), ("grpc-timeout", "1H")], Code::Ok),
        ] {
            let answer = Answer::of(way, way.send(&server, SERVICE, "Dropout", headers, message.clone()).await).await;
            assert_eq!(answer.code(), code, "{way:?} {headers:?}");
        }
    }
}

/// The metrics count calls of gRPC-Web as calls of gRPC.
#[tokio::test]
async fn calls_are_counted_as_what_they_are() {
    let any = any_origin();
    let server = start(ServerConfig { metrics_listen: Some(([127, 0, 0, 1], 0).into()), ..any }).await;
    let message = dropout(0.0, f32s(&[1], &[1.0])).encode_to_vec();
    for way in ALL {
        assert_eq!(way.call(&server, "Dropout", framed(&message)).await.code(), Code::Ok);
        let wrong = dropout(3.0, f32s(&[1], &[1.0])).encode_to_vec();
        assert_eq!(way.call(&server, "Dropout", framed(&wrong)).await.code(), Code::InvalidArgument);
    }
    let series = scrape(&server).await;
    for code in ["OK", "INVALID_ARGUMENT"] {
        assert_eq!(series[&handled("Dropout", "unary", code)], 4.0, "{code}");
    }
    assert_eq!(series["evenkeel_bytes_in_flight"], 0.0);
}

/// Requests that are no calls get an HTTP error, in both versions of HTTP.
#[tokio::test]
async fn what_is_no_call_gets_an_answer_of_http() {
    let metrics_listen = Some(([127, 0, 0, 1], 0).into());
    let server = start(ServerConfig { metrics_listen, ..any_origin() }).await;
    let message = framed(&dropout(0.0, f32s(&[1], &[1.0])).encode_to_vec());
    let mut requests = 0.0;
    for (version, method, content_type, http) in [
        (Version::Http1, "GET", "application/grpc-web", 405),
        (Version::Http2, "GET", "application/grpc-web", 405),
        (Version::Http1, "GET", "text/html", 405),
        (Version::Http2, "GET", "text/html", 405),
        (Version::Http1, "POST", "application/grpc", 505),
        (Version::Http1, "POST", "text/plain", 415),
        (Version::Http2, "POST", "text/plain", 415),
        (Version::Http1, "POST", "application/grpc-web+json", 415),
        (Version::Http2, "POST", "application/grpc-web+json", 415),
    ] {
        let way = Way { version, kind: Kind::Binary };
        let request = way.request(&server, SERVICE, "Dropout", message.clone(), |request| {
            request.method(method).header("content-type", content_type)
        });
        let response = way.http().request(request).await.expect("an answer");
        assert_eq!(response.status(), http, "{version:?} {method} {content_type}");
        // Each request is counted.
        requests += 1.0;
        until("the request is counted", async || {
            scrape(&server).await[&handled("Dropout", "unary", "UNKNOWN")] == requests
        })
        .await;
    }
    // A body that is not base64 has no message.
    for version in [Version::Http1, Version::Http2] {
        let way = Way { version, kind: Kind::Text };
        let request = way.request(&server, SERVICE, "Dropout", "AAAA%%%%".into(), |request| {
            request.header("content-type", "application/grpc-web-text").header("accept", "application/grpc-web-text")
        });
        let answer = Answer::of(way, way.http().request(request).await.expect("an answer")).await;
        assert_eq!(answer.code(), Code::Internal, "{version:?}");
    }
}

/// A compressed message, and its compressed answer.
#[tokio::test]
async fn messages_may_be_compressed() {
    let server = start(ServerConfig { compression: vec![Encoding::Gzip], ..any_origin() }).await;
    let message = dropout(0.3, f32s(&[1000], &[1.5; 1000])).encode_to_vec();
    let plain = grpc(&server, SERVICE, "Dropout", framed(&message)).await;
    let headers = [("grpc-encoding", "gzip"), ("grpc-accept-encoding", "gzip")];
    for way in ALL {
        let body = flagged(&compress(Encoding::Gzip, &message)).into();
        let answer = Answer::of(way, way.send(&server, SERVICE, "Dropout", &headers, body).await).await;
        assert_eq!((answer.code(), answer.messages[0]), (Code::Ok, 1), "{way:?}");
        assert!(decompress(Encoding::Gzip, &answer.messages[5..]) == plain.messages[5..], "{way:?}");
    }
}

/// Without the setting, gRPC-Web is refused over HTTP/2; a test of `connections` checks that HTTP/1.1 is closed.
#[tokio::test]
async fn without_the_flag_nobody_speaks_it() {
    let server = start(ServerConfig::on_free_port()).await;
    for kind in [Kind::Binary, Kind::Text] {
        let way = Way { version: Version::Http2, kind };
        let response = way.send(&server, SERVICE, "Dropout", &[], framed(&[])).await;
        assert_eq!(response.status(), 415);
    }
}

#[tokio::test]
async fn an_error_names_what_is_wrong() {
    let server = start(ServerConfig { max_message_bytes: 1 << 10, ..any_origin() }).await;
    for way in ALL {
        let answer = way.call(&server, "Dropout", framed(&[0; 2000])).await;
        assert_eq!(error_info(&answer.status()).reason, "MESSAGE_TOO_LARGE", "{way:?}");
    }
}
