//! Errors, their details and their statuses of HTTP.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use evenkeel::config::{SecurityConfig, ServerConfig};
use prost::Message as _;
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::pb;

use super::{
    FIRST, ONE,
    client::{Answer, BOTH, JSON, JSON_STREAM, PROTO, PROTO_STREAM, Version},
    start,
};

const CODES: [(&str, Code, u16); 9] = [
    ("canceled", Code::Cancelled, 499),
    ("unknown", Code::Unknown, 500),
    ("invalid_argument", Code::InvalidArgument, 400),
    ("deadline_exceeded", Code::DeadlineExceeded, 504),
    ("resource_exhausted", Code::ResourceExhausted, 429),
    ("failed_precondition", Code::FailedPrecondition, 400),
    ("unimplemented", Code::Unimplemented, 501),
    ("internal", Code::Internal, 500),
    ("unauthenticated", Code::Unauthenticated, 401),
];

/// The status that an error means. Its details are those of [`details_of`].
pub(super) fn status_of(answer: &Answer) -> Status {
    let (name, message) = answer.error();
    let (_, code, http) = CODES.into_iter().find(|(known, ..)| *known == name).expect("it is a code");
    // A method that there is not is a page that there is not.
    assert!(answer.http == http || answer.http == 404 && code == Code::Unimplemented, "{answer:?}");
    let details = answer.json()["details"].as_array().cloned().unwrap_or_default();
    let details = details.iter().map(|detail| {
        let text = |key: &str| detail[key].as_str().expect("it is text").to_owned();
        assert!(detail["debug"].is_object(), "{detail}");
        prost_types::Any { type_url: text("type"), value: STANDARD_NO_PAD.decode(text("value")).expect("base64") }
    });
    Status::with_details(code, message, encoded(details.collect()).into())
}

/// The details of a status, by the names of their types alone.
pub(super) fn details_of(status: &Status) -> Vec<u8> {
    let details = pb::Status::decode(status.details()).expect("it has details").details;
    let named = details.into_iter().map(|any| {
        let name = any.type_url.rsplit('/').next().unwrap_or_default().to_owned();
        prost_types::Any { type_url: name, ..any }
    });
    encoded(named.collect())
}

fn encoded(details: Vec<prost_types::Any>) -> Vec<u8> {
    pb::Status { details, ..Default::default() }.encode_to_vec()
}

#[tokio::test]
async fn an_error_names_the_field() {
    let server = start(ServerConfig::on_free_port()).await;
    for version in BOTH {
        for (text, field, reason) in [
            (r#"{"kind":"NORM_KIND_LAYER","input":{"shape":[1,-4],"floatData":[1]}}"#, "input.shape[1]", ""),
            (r#"{"kind":"NORM_KIND_LAYER","inptu":{}}"#, "inptu", "NormalizeRequest has no such field"),
            (r#"{"kind":"NORM_KIND_LAYER","input":{"floatData":[1,1e99]}}"#, "input.float_data[1]", "float32"),
            (r#"{"kind":"NORM_KIND_LAYER","kind":1}"#, "kind", "a second time"),
        ] {
            let answer = version.call(&server, "Normalize", JSON, &[], text).await;
            let (code, message) = answer.error();
            assert_eq!((answer.http, &*code), (400, "invalid_argument"), "{text}");
            assert!(message.starts_with(&format!("{field}: ")) && message.contains(reason), "{message}");
            let detail = &answer.json()["details"][0];
            assert_eq!(detail["type"], json!("google.rpc.BadRequest"));
            assert_eq!(detail["debug"]["fieldViolations"][0]["field"], json!(field));
            let value = STANDARD_NO_PAD.decode(detail["value"].as_str().expect("text")).expect("without padding");
            let value = pb::BadRequest::decode(&value[..]).expect("it is one");
            assert_eq!(value.field_violations[0].field, field);
        }
        let answer = version.call(&server, "Normalize", JSON, &[], "{").await;
        assert!(answer.error().1.contains("no JSON"), "{answer:?}");
    }
}

#[tokio::test]
async fn every_error_has_its_code_and_its_status() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("tokens");
    fs::write(&path, "secret\n").expect("it can be written");
    let security = SecurityConfig { auth_token_file: Some(path), ..Default::default() };
    let server = start(ServerConfig { security, max_message_bytes: 2000, ..ServerConfig::on_free_port() }).await;
    let token = ("authorization", "Bearer secret");
    let long = format!("{ONE}{}", " ".repeat(2000));
    for version in BOTH {
        for (method, headers, text, code, http) in [
            ("Dropout", &[][..], ONE, "unauthenticated", 401),
            ("Dropout", &[("authorization", "Bearer other")], ONE, "unauthenticated", 401),
            ("NoSuchMethod", &[token], ONE, "unimplemented", 404),
            ("Dropout", &[token, ("connect-timeout-ms", "0")], ONE, "deadline_exceeded", 504),
            ("Dropout", &[token, ("connect-timeout-ms", "soon")], ONE, "invalid_argument", 400),
            ("Dropout", &[token, ("connect-protocol-version", "2")], ONE, "invalid_argument", 400),
            ("Dropout", &[token, ("content-encoding", "gzip")], ONE, "unimplemented", 501),
            ("Dropout", &[token, ("x-long", &"x".repeat(17 << 10))], ONE, "resource_exhausted", 429),
            ("Dropout", &[token], &long, "resource_exhausted", 429),
            ("Dropout", &[token], "", "invalid_argument", 400),
            ("Dropout", &[token], "{}", "invalid_argument", 400),
            ("ClipGradients", &[token], NOT_FINITE, "failed_precondition", 400),
        ] {
            let answer = version.call(&server, method, JSON, headers, text.to_owned()).await;
            let (said, message) = answer.error();
            assert_eq!((&*said, answer.http), (code, http), "{version:?} {method} {message}");
            assert_eq!(answer.headers.get("grpc-status"), None);
        }
        for headers in [&[token][..], &[token, ("connect-timeout-ms", "60000"), ("connect-protocol-version", "1")]] {
            let answer = version.call(&server, "Dropout", JSON, headers, ONE).await;
            assert_eq!(answer.http, 200, "{answer:?}");
        }
    }
}

/// The error of an unknown encoding names the header in which the client has sent it.
#[tokio::test]
async fn an_unknown_encoding_is_named_by_its_header() {
    let server = start(ServerConfig::on_free_port()).await;
    for version in BOTH {
        for (method, content_type, header) in [
            ("Dropout", JSON, "content-encoding"),
            ("Dropout", PROTO, "content-encoding"),
            ("MeasureGradients", JSON_STREAM, "connect-content-encoding"),
            ("MeasureGradients", PROTO_STREAM, "connect-content-encoding"),
            ("DropoutStream", PROTO_STREAM, "connect-content-encoding"),
        ] {
            let answer = version.call(&server, method, content_type, &[(header, "br")], FIRST).await;
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(
                text.contains("unimplemented") && text.contains(&format!("the request's {header}")),
                "{method}: {text}"
            );
        }
    }
}

/// A clipping whose norm is not finite.
const NOT_FINITE: &str = r#"{"mode":"CLIP_MODE_NORM","threshold":1,"errorIfNonfinite":true,"gradients":[{"shape":[1],"floatData":["NaN"]}]}"#;

/// What is no call gets an answer of HTTP, which says what a call is.
#[tokio::test]
async fn what_is_no_call_gets_an_answer_of_http() {
    let server = start(ServerConfig::on_free_port()).await;
    for version in BOTH {
        for (method, content_type, words) in [
            ("Normalize", JSON_STREAM, "application/json"),
            ("Normalize", PROTO_STREAM, "application/json"),
            ("DropoutStream", JSON, "application/connect+json"),
            ("MeasureGradients", PROTO, "application/connect+json"),
            ("Normalize", "text/plain", "application/json"),
            ("Normalize", "application/x-www-form-urlencoded", "application/json"),
        ] {
            let answer = version.call(&server, method, content_type, &[], FIRST).await;
            assert_eq!((answer.http, answer.header("content-type")), (415, "text/plain"), "{content_type}");
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(text.contains(words), "{text}");
        }
    }
    let answer = Version::Http1.call(&server, "Normalize", JSON, &[], FIRST).await;
    assert_eq!(answer.http, 200);
}
