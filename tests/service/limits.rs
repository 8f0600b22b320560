//! The limit on messages, in both directions.

use evenkeel::config::{DEFAULT_MAX_MESSAGE_BYTES, ServerConfig};
use evenkeel_proto::v1 as pb;
use pb::{DataType, NormKind};
use prost::Message as _;
use tonic::{Code, Status};

use crate::{
    harness::{Client, dropout, error_info, f32s, normalize, refusal, start, start_with, tensor},
    peer::{Peer, address, framed, request, status},
};

const LIMIT: usize = 1 << 16;

fn limited() -> ServerConfig {
    ServerConfig { max_message_bytes: LIMIT, ..ServerConfig::on_free_port() }
}

/// A Dropout request of exactly `size` bytes.
fn request_of(size: usize) -> pb::DropoutRequest {
    let request = |elements: usize| {
        let data = vec![0; 2 * elements];
        dropout(0.5, tensor(DataType::Float16, &[i64::try_from(elements).expect("it is small")], data))
    };
    let mut request = request((size - 64) / 2);
    let input = request.input.as_mut().expect("it has an input");
    // The name fills the rest; below 128 bytes its length takes one byte.
    input.name = "n".to_owned();
    let missing = size - request.encoded_len();
    assert!(missing < 100);
    let input = request.input.as_mut().expect("it has an input");
    input.name.push_str(&"n".repeat(missing));
    assert_eq!(request.encoded_len(), size);
    request
}

#[track_caller]
fn is_too_large<T>(answer: Result<T, Status>, limit: usize) {
    let info = error_info(&refusal(answer, Code::ResourceExhausted));
    assert_eq!(info.reason, "MESSAGE_TOO_LARGE");
    assert_eq!(info.metadata["limit_bytes"], limit.to_string());
}

async fn serves(client: &mut Client) {
    client.dropout(dropout(0.5, f32s(&[1], &[1.0]))).await.expect("a small request is served");
}

/// Row 20.
#[tokio::test]
async fn a_message_at_the_limit_is_served_and_one_byte_more_is_not() {
    let (_server, mut client) = start_with(limited()).await;
    client.dropout(request_of(LIMIT)).await.expect("it is not above the limit");
    is_too_large(client.dropout(request_of(LIMIT + 1)).await, LIMIT);
    serves(&mut client).await;
}

/// Row 20.
#[tokio::test]
async fn the_default_limit_is_64_mib() {
    let (_server, mut client) = start().await;
    assert_eq!(DEFAULT_MAX_MESSAGE_BYTES, 64 << 20);
    is_too_large(client.dropout(request_of(DEFAULT_MAX_MESSAGE_BYTES + 1)).await, DEFAULT_MAX_MESSAGE_BYTES);
    serves(&mut client).await;
}

/// Row 58: the limit on headers, counted as HTTP/2 does: 32 bytes for each header beside its name and value.
#[tokio::test]
async fn metadata_above_16_kib_is_refused_in_words_and_others_are_served() {
    let (server, mut client) = start().await;
    let peer = Peer::connect(address(&server)).await;
    let message = framed(&dropout(0.5, f32s(&[1], &[1.0])).encode_to_vec());
    for (bytes, is_served) in [(15_000, true), (17_000, false), (31_000, false)] {
        let mut request = request("Dropout");
        request.headers_mut().insert("x-trace", "t".repeat(bytes).parse().expect("a value"));
        let (answer, mut body) = peer.send(request).await.expect("the connection is open");
        body.send_data(message.clone(), true).expect("the connection is open");
        let status = status(answer).await.expect("an answer");
        if is_served {
            assert_eq!(status.code(), Code::Ok, "{bytes}: {status:?}");
        } else {
            let info = error_info(&refusal(Err::<(), _>(status), Code::ResourceExhausted));
            assert_eq!(info.reason, "METADATA_TOO_LARGE", "{bytes}");
            assert_eq!(info.metadata["limit_bytes"], "16384");
            let size: usize = info.metadata["size_bytes"].parse().expect("a number");
            assert!((bytes..bytes + 200).contains(&size), "{size} of {bytes}");
        }
        assert_eq!(peer.call("Dropout", &message[5..]).await.expect("the connection is open").code(), Code::Ok);
    }
    serves(&mut client).await;
}

/// Statistics of rows of one element are as large as the input, twice.
#[tokio::test]
async fn an_answer_above_the_limit_is_refused() {
    let (_server, mut client) = start_with(limited()).await;
    let rows = LIMIT / 8;
    let input = f32s(&[i64::try_from(rows).expect("it is small"), 1], &vec![1.0; rows]);
    let request = normalize(NormKind::Layer, input);
    client.normalize(request.clone()).await.expect("the output is below the limit");
    let request = pb::NormalizeRequest { return_statistics: true, ..request };
    is_too_large(client.normalize(request).await, LIMIT);
    serves(&mut client).await;
}
