//! Invalid messages, and floods of frames that cost the server more than the client.

use std::net::SocketAddr;

use bytes::Bytes;
use evenkeel::{config::ServerConfig, server::Running};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
};
use tonic::Code;

use crate::{
    harness::{Client, connect, dropout, f32s, start},
    peer::{PREFACE, Peer, address, framed, status},
    until::within,
};

async fn serves(server: &Running) {
    let answer = Client::new(connect(server).await).dropout(dropout(0.0, f32s(&[1], &[1.0]))).await;
    answer.expect("others are served");
}

/// Row 24: bytes that are no message, on the direct path and on the codec path.
#[tokio::test]
async fn what_is_no_protobuf_is_answered() {
    for codec_path in [false, true] {
        let config = ServerConfig { codec_path, ..ServerConfig::on_free_port() };
        let server = Running::start(config).await.expect("the server starts");
        let peer = Peer::connect(address(&server)).await;
        for method in
            ["Normalize", "NormalizeBackward", "Dropout", "DropoutBackward", "ClipGradients", "MeasureGradients"]
        {
            // A tag without a value, a length beyond the end, a number that does not end, a group that does not.
            for bytes in [&b"\x08"[..], b"\x7a\xff\x01", b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x0b"] {
                let status = peer.call(method, bytes).await.expect("an answer");
                assert_eq!(status.code(), Code::Internal, "{method} {bytes:?}: {status:?}");
            }
        }
    }
}

/// As gRPC demands: a unary call has exactly one message.
#[tokio::test]
async fn none_or_two_messages_where_there_is_one_are_not_implemented() {
    let message = framed(&prost::Message::encode_to_vec(&dropout(0.0, f32s(&[1], &[1.0]))));
    let twice = Bytes::from([&message[..], &message[..]].concat());
    let half = message.len() + 3;
    for codec_path in [false, true] {
        let config = ServerConfig { codec_path, ..ServerConfig::on_free_port() };
        let server = Running::start(config).await.expect("the server starts");
        let peer = Peer::connect(address(&server)).await;
        for (frames, code) in [
            (vec![message.clone()], Code::Ok),
            (vec![message.clone(), Bytes::new()], Code::Ok),
            (vec![Bytes::new()], Code::Unimplemented),
            (vec![twice.clone()], Code::Unimplemented),
            (vec![message.clone(), message.clone()], Code::Unimplemented),
            (vec![twice.slice(..half), twice.slice(half..)], Code::Unimplemented),
        ] {
            let (answer, mut body) = peer.begin("Dropout").await;
            for (index, frame) in frames.iter().enumerate() {
                // An error means that the call has been answered.
                let _ = body.send_data(frame.clone(), index + 1 == frames.len());
            }
            let status = status(answer).await.expect("an answer");
            assert_eq!(status.code(), code, "{} frames: {status:?}", frames.len());
        }
    }
}

/// A frame: its type, its flags, its stream and its payload.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).expect("it is small").to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_HEADERS: u8 = 4;

/// The headers of a call, as literals without indexing.
pub(crate) fn headers() -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/evenkeel.v1.TensorOpsService/Dropout"),
        (":authority", "evenkeel"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let text = |text: &str| [&[text.len() as u8][..], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// Sends these frames again and again until the server has closed the connection; reads meanwhile only if `reads`.
pub(crate) async fn flood(server: SocketAddr, reads: bool, mut next: impl FnMut(u32) -> Vec<u8>) -> Vec<u8> {
    let stream = TcpStream::connect(server).await.expect("the server listens");
    let (mut read, mut write) = stream.into_split();
    let reader = tokio::spawn(async move {
        let mut said = Vec::new();
        if reads {
            // An error is an end as well.
            let _ = read.read_to_end(&mut said).await;
        }
        (said, read)
    });
    let flooded = async {
        let mut result = write.write_all(PREFACE).await;
        let mut turn = 0;
        while result.is_ok() && !(reads && reader.is_finished()) {
            result = write.write_all(&next(turn)).await;
            turn += 1;
            assert!(turn < 1_000_000, "the server takes it all");
        }
        reader.await.expect("no panic").0
    };
    within("the server closes the connection", flooded).await
}

/// Whether the server said GOAWAY, and why: the error code of the last one.
pub(crate) fn goaway(said: &[u8]) -> Option<u32> {
    let mut rest = said;
    let mut code = None;
    while let [a, b, c, kind, _, _, _, _, _, tail @ ..] = rest {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let payload = tail.get(..length)?;
        if *kind == 7 {
            code = payload.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
        }
        rest = &tail[length..];
    }
    code
}

/// ENHANCE_YOUR_CALM.
const CALM: u32 = 0xB;

/// Row 28: streams that are opened and reset at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_resets_ends_its_connection() {
    let (server, _client) = start().await;
    let headers = headers();
    let said = flood(address(&server), true, |turn| {
        let streams = (0..500).map(|index| (turn * 500 + index) * 2 + 1);
        let open_and_reset = |stream| {
            [frame(HEADERS, END_HEADERS, stream, &headers), frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat()
        };
        streams.flat_map(open_and_reset).collect()
    })
    .await;
    assert_eq!(goaway(&said), Some(CALM));
    serves(&server).await;
}

/// Row 28: headers that do not end.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_continuations_ends_its_connection() {
    let (server, _client) = start().await;
    let headers = headers();
    let name = [&[0, 100][..], &[b'x'; 100], &[100], &[b'y'; 100]].concat();
    let said = flood(address(&server), true, |turn| match turn {
        0 => frame(HEADERS, 0, 1, &headers),
        _ => frame(CONTINUATION, 0, 1, &name.repeat(50)),
    })
    .await;
    assert!(goaway(&said).is_some(), "{} bytes", said.len());
    serves(&server).await;
}

/// Row 28: pings and settings whose acknowledgements the client does not read; other clients are served meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn floods_of_pings_and_settings_hold_nobody_up() {
    let (server, _client) = start().await;
    for (kind, payload) in [(PING, &[7; 8][..]), (SETTINGS, &[0, 5, 0, 0, 0x40, 0][..])] {
        let address = address(&server);
        let many = frame(kind, 0, 0, payload).repeat(1000);
        let (sent, mut has_sent) = watch::channel(0);
        let flooding = tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("the server listens");
            stream.write_all(PREFACE).await.expect("the server reads");
            // Until the server stops reading, since its acknowledgements are not read, or has closed the connection.
            while stream.write_all(&many).await.is_ok() {
                sent.send_modify(|sent| *sent += 1);
            }
        });
        // The first thousand frames have been sent, and the next are on their way.
        within("the server reads", has_sent.wait_for(|sent| *sent > 0)).await.expect("the flood goes on");
        for _ in 0..20 {
            serves(&server).await;
        }
        flooding.abort();
    }
}

/// Row 28: frames of data without data.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_empty_frames_ends_its_connection() {
    let (server, _client) = start().await;
    let headers = headers();
    let said = flood(address(&server), true, |turn| match turn {
        0 => frame(HEADERS, END_HEADERS, 1, &headers),
        1 => frame(DATA, 0, 1, &framed(&[0; 5])[..7]),
        _ => frame(DATA, 0, 1, b"").repeat(1000),
    })
    .await;
    assert_eq!(goaway(&said), Some(CALM));
    serves(&server).await;
}
