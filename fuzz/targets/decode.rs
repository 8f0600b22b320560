//! Any bytes as any request: each message gets a response, and a wrong field is named.

#![no_main]

use evenkeel_fuzz::{loopback::servers, messages::METHODS};
use evenkeel_proto::v1 as pb;
use libfuzzer_sys::fuzz_target;
use prost::{DecodeError, Message};

const INVALID_ARGUMENT: &str = "3";
const INTERNAL: &str = "13";

fn decode<M: Message + Default>(bytes: &[u8]) -> Result<(), DecodeError> {
    M::decode(bytes).map(drop)
}

/// Whether the bytes are a message of the method.
fn is_message(method: &str, bytes: &[u8]) -> bool {
    match method {
        "Normalize" => decode::<pb::NormalizeRequest>(bytes),
        "NormalizeBackward" => decode::<pb::NormalizeBackwardRequest>(bytes),
        "Dropout" => decode::<pb::DropoutRequest>(bytes),
        "DropoutBackward" => decode::<pb::DropoutBackwardRequest>(bytes),
        "ClipGradients" => decode::<pb::ClipGradientsRequest>(bytes),
        "MeasureStatistics" => decode::<pb::MeasureStatisticsRequest>(bytes),
        _ => decode::<pb::MeasureGradientsRequest>(bytes),
    }
    .is_ok()
}

fuzz_target!(|data: &[u8]| {
    let Some((first, message)) = data.split_first() else { return };
    let method = METHODS[usize::from(*first) % METHODS.len()];
    let answer = servers().call(method, message);
    let (status, words) = (answer.header("grpc-status"), answer.header("grpc-message"));
    assert!(!status.is_empty(), "{method}: no status: {answer:?}");
    // tonic answers INTERNAL to bytes that are not protobuf. Any other INTERNAL is a bug of the server.
    assert_eq!(status == INTERNAL, !is_message(method, message), "{method}: {status} {words}");
    if status == INVALID_ARGUMENT {
        let field = words.split_once(':').map(|(field, _)| field).unwrap_or_default();
        assert!(
            !field.is_empty() && !field.contains(' ') && !field.contains("%20"),
            "{method} names no field: {words}"
        );
    }
});
