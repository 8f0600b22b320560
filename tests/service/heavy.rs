//! Messages of very many fields take long to decode. The server decodes them on the compute threads, wherever the fields are and
//! however the message comes.

use bytes::Bytes;
use evenkeel_proto::v1 as pb;
use hyper::http::HeaderMap;
use pb::NormKind;
use prost::{Message as _, encoding::encode_varint};

use crate::{
    harness::{f32s, normalize},
    metrics::scrape,
    peer::{Peer, address, framed, status},
    taken,
    until::until,
};

/// More fields than are decoded on a thread that serves.
const FIELDS: usize = 5000;

/// A field with these bytes.
fn field(key: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![key];
    encode_varint(bytes.len() as u64, &mut field);
    field.extend_from_slice(bytes);
    field
}

/// A method, the frames of its request, and whether trailers follow.
fn cases() -> Vec<(&'static str, Vec<Bytes>, bool)> {
    let (empty, groups) = (b"\x7A\x00".repeat(FIELDS), b"\x23\x24".repeat(FIELDS));
    let layer = normalize(NormKind::Layer, f32s(&[100, 100], &[1.0; 10_000])).encode_to_vec();
    let axes = framed(&[b"\x10\x01".repeat(FIELDS), layer].concat());
    let (begin, rest) = axes.split_at(3 * FIELDS);
    vec![
        ("MeasureGradients", vec![framed(&field(0x72, &empty))], false),
        ("MeasureStatistics", vec![framed(&field(0x6A, &field(0x7A, &empty)))], false),
        ("MeasureGradientsUnary", vec![framed(&field(0x72, &empty))], false),
        ("MeasureStatisticsUnary", vec![framed(&field(0x6A, &field(0x7A, &empty)))], false),
        ("NormalizeStream", vec![framed(&field(0x0A, &groups))], false),
        ("DropoutStream", vec![framed(&groups)], false),
        ("Dropout", vec![framed(&groups)], false),
        ("Dropout", vec![framed(&groups)], true),
        // The fields of a normalization that could be computed while it arrives.
        ("Normalize", [begin, rest].map(Bytes::copy_from_slice).into(), false),
    ]
}

/// The only compute thread is taken, so that whatever is decoded there waits. A message that is decoded elsewhere is refused at once.
#[tokio::test(flavor = "multi_thread")]
async fn messages_of_very_many_fields_wait_for_a_compute_thread() {
    let (server, taken) = taken::start().await;
    let gauge = async |name: &str| scrape(&server).await[name];
    let mut calls = Vec::new();
    for (index, (method, frames, trailers)) in cases().into_iter().enumerate() {
        let peer = Peer::connect(address(&server)).await;
        let (answer, mut body) = peer.begin(method).await;
        let last = frames.len() - 1;
        for (at, frame) in frames.into_iter().enumerate() {
            body.send_data(frame, at == last && !trailers).expect("the connection is open");
        }
        if trailers {
            body.send_trailers(HeaderMap::new()).expect("the connection is open");
        }
        let waiting = (index + 1) as f64;
        until(&format!("{method} waits"), async || gauge("evenkeel_jobs_queued").await == waiting).await;
        calls.push((method, answer, peer));
    }
    taken.release().await;
    for (method, answer, _peer) in calls {
        let refused = status(answer).await.expect("an answer");
        assert_ne!(refused.code(), tonic::Code::Ok, "{method}");
    }
}
