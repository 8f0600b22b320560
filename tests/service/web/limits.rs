//! Messages that are too large or too many: refused over HTTP/1.1 and in base64, as with gRPC, before they have
//! arrived.

use bytes::Bytes;
use evenkeel::{
    config::{AdmissionConfig, ServerConfig},
    server::Running,
};
use prost::Message as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{
    any_origin,
    client::{ALL, Kind},
    start,
};
use crate::{
    harness::{dropout, error_info, f32s},
    peer::{Peer, address, framed, prefix, status},
    until::{until, until_some, within},
};

const LIMIT: usize = 1 << 16;

/// Room for one of the largest calls.
async fn tight() -> Running {
    let admission = AdmissionConfig { max_bytes_in_flight: Some(2 * LIMIT), ..Default::default() };
    start(ServerConfig { max_message_bytes: LIMIT, admission, ..any_origin() }).await
}

/// Begins a call over HTTP/1.1 with these bytes and no more; returns the head of the answer.
async fn begin(server: &Running, kind: Kind, bytes: Bytes) -> String {
    let mut stream = TcpStream::connect(address(server)).await.expect("the server listens");
    let (body, content_type) = (kind.encode(bytes), kind.content_type());
    let head = format!(
        "POST /evenkeel.v1.TensorOpsService/Dropout HTTP/1.1\r\nhost: evenkeel\r\ncontent-type: {content_type}\r\n\
         accept: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body, b"\r\n"].concat()).await.expect("the server reads");
    let mut answer = Vec::new();
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = within("the head of an answer", stream.read_buf(&mut answer)).await.expect("an answer");
        assert_ne!(read, 0, "the connection is closed");
    }
    String::from_utf8(answer).expect("text").to_lowercase()
}

/// Rows 20 and 32, by the length prefix.
#[tokio::test]
async fn what_is_too_much_is_refused_before_it_is_there() {
    let server = tight().await;
    let elements = (LIMIT - 100) / 4;
    let large = framed(&dropout(0.0, f32s(&[elements as i64], &vec![1.0; elements])).encode_to_vec());
    let medium = framed(&dropout(0.0, f32s(&[250], &[1.0; 250])).encode_to_vec());
    let holder = Peer::connect(address(&server)).await;
    let (answer, mut body) = holder.begin("Dropout").await;
    body.send_data(large.slice(..5), false).expect("the connection is open");
    for way in ALL {
        // The first of these calls may be served, while the server has not yet read the prefix of the holder.
        let refused = async || {
            let answer = way.call(&server, "Dropout", medium.clone()).await;
            Some(answer.status()).filter(|status| status.code() != Code::Ok)
        };
        let refused = until_some("a call beside the announced one is refused", refused).await;
        assert_eq!((refused.code(), error_info(&refused).reason.as_str()), (Code::ResourceExhausted, "OVERLOADED"));
        assert!(refused.get_error_details().retry_info().is_some(), "{way:?}");
    }
    for kind in [Kind::Binary, Kind::Text] {
        // One byte of the message follows, so that base64 has all characters of the prefix.
        for length in [1000, u32::MAX] {
            let begun = begin(&server, kind, [prefix(length), Bytes::from_static(&[0])].concat().into()).await;
            assert!(begun.contains("grpc-status: 8\r\n"), "{kind:?} {length}: {begun}");
        }
    }
    body.send_data(large.slice(5..), true).expect("the connection is open");
    assert_eq!(status(answer).await.expect("an answer").code(), Code::Ok);
    // The whole budget is given back.
    for way in ALL {
        let served = async || way.call(&server, "Dropout", large.clone()).await.code() == Code::Ok;
        until("the largest message is served again", served).await;
    }
}
