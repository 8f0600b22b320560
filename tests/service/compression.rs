//! Compressed messages: the same bits in both directions, and the ways in which one can be wrong.

mod bombs;
mod partials;
mod tables;

use std::io::Write as _;

use bytes::Bytes;
use evenkeel::{
    config::{Encoding, ServerConfig},
    server::Running,
};
use evenkeel_proto::v1 as pb;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use prost::Message as _;

use crate::{
    direct::{Answer, send},
    harness::{clip, dropout, f32s, normalize},
    peer::framed,
};

const BOTH: [Encoding; 2] = [Encoding::Gzip, Encoding::Zstd];

fn name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Gzip => "gzip",
        Encoding::Zstd => "zstd",
    }
}

pub(crate) fn compress(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
    match encoding {
        Encoding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).expect("memory takes it");
            encoder.finish().expect("memory takes it")
        }
        Encoding::Zstd => zstd::encode_all(bytes, 3).expect("memory takes it"),
    }
}

pub(crate) fn decompress(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    match encoding {
        Encoding::Gzip => std::io::copy(&mut GzDecoder::new(bytes), &mut all).expect("it is whole"),
        Encoding::Zstd => {
            std::io::copy(&mut &zstd::decode_all(bytes).expect("it is whole")[..], &mut all).expect("memory")
        }
    };
    all
}

/// A message with its prefix, which says that it is compressed.
pub(crate) fn flagged(message: &[u8]) -> Vec<u8> {
    let mut framed = framed(message).to_vec();
    framed[0] = 1;
    framed
}

async fn start(encodings: &[Encoding], codec_path: bool) -> Running {
    let config = ServerConfig { compression: encodings.to_vec(), codec_path, ..ServerConfig::on_free_port() };
    Running::start(config).await.expect("the server starts")
}

/// The status of an answer, from its headers or its trailers.
fn code(answer: &Answer) -> &str {
    let status = answer.trailers.get("grpc-status").or(answer.headers.get("grpc-status")).expect("it has ended");
    std::str::from_utf8(status).expect("a number")
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.get(name).map(|value| std::str::from_utf8(value).expect("text"))
}

fn calls() -> Vec<(&'static str, Vec<u8>)> {
    let values: Vec<f32> = (0..200_000u64).map(|i| (i * i % 1009) as f32).collect();
    let (small, large) = (|| f32s(&[2, 3], &values[1..7]), || f32s(&[2, 100_000], &values));
    let measure = pb::MeasureGradientsRequest { gradients: vec![small(), large()], ..Default::default() };
    vec![
        ("Normalize", normalize(pb::NormKind::Layer, small()).encode_to_vec()),
        ("Normalize", normalize(pb::NormKind::Layer, large()).encode_to_vec()),
        ("Dropout", dropout(0.3, large()).encode_to_vec()),
        ("ClipGradients", clip(pb::ClipMode::Norm, 1.0, vec![small(), large()]).encode_to_vec()),
        ("MeasureGradients", measure.encode_to_vec()),
        // A message of no bytes, and one that is refused.
        ("ClipGradients", Vec::new()),
        ("Dropout", dropout(2.0, small()).encode_to_vec()),
    ]
}

/// Row 45: empty messages among others, each compressed by itself.
#[tokio::test]
async fn empty_messages_change_nothing() {
    let server = start(&BOTH, false).await;
    let gradients = vec![f32s(&[2], &[3.0, 4.0])];
    let last = pb::MeasureGradientsRequest { gradients, ..Default::default() }.encode_to_vec();
    for encoding in BOTH {
        let empty = flagged(&compress(encoding, &[]));
        let body = [empty.repeat(20_000), flagged(&compress(encoding, &last)), empty.repeat(3)].concat();
        let frames = body.chunks(16_000).map(Bytes::copy_from_slice).collect();
        let answer = send(&server, "MeasureGradients", &[("grpc-encoding", name(encoding))], frames).await;
        assert_eq!(code(&answer), "0", "{encoding:?}");
        let answer = pb::MeasureGradientsResponse::decode(&answer.data[5..]).expect("an answer");
        assert_eq!(answer.total_norm, 5.0, "{encoding:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn either_way_the_bits_are_the_same() {
    for codec_path in [false, true] {
        let server = start(&BOTH, codec_path).await;
        for (method, message) in calls() {
            let plain = send(&server, method, &[], vec![framed(&message)]).await;
            assert_eq!(header(&plain, "grpc-encoding"), None);
            for encoding in BOTH {
                let body = flagged(&compress(encoding, &message));
                for cut in [7, 30_000, usize::MAX] {
                    if cut == 7 && message.len() > 1000 {
                        continue;
                    }
                    let frames = || body.chunks(cut).map(Bytes::copy_from_slice).collect();
                    let sent = [("grpc-encoding", name(encoding))];
                    let answer = send(&server, method, &sent, frames()).await;
                    assert!(
                        answer.data == plain.data && answer.trailers == plain.trailers,
                        "{method} {encoding:?} {cut}"
                    );
                    assert_eq!(code(&answer), code(&plain), "{method} {encoding:?} {cut}");

                    let accepts = ("grpc-accept-encoding", "identity, deflate,zstd, gzip");
                    let answer = send(&server, method, &[sent[0], accepts], frames()).await;
                    assert_eq!(code(&answer), code(&plain), "{method} {encoding:?} {cut}");
                    assert_eq!(header(&answer, "grpc-accept-encoding"), Some("identity,gzip,zstd"));
                    if plain.data.is_empty() {
                        assert!(answer.data.is_empty());
                        continue;
                    }
                    assert_eq!(header(&answer, "grpc-encoding"), Some(name(encoding)));
                    assert_eq!(answer.data[0], 1);
                    assert_eq!(answer.data[1..5], ((answer.data.len() - 5) as u32).to_be_bytes());
                    assert!(decompress(encoding, &answer.data[5..]) == plain.data[5..], "{method} {encoding:?} {cut}");
                }
            }
        }
    }
}

/// A client that accepts an encoding and sends plain messages gets plain answers; and in a stream of compressed
/// messages, a message may be plain.
#[tokio::test]
async fn nobody_gets_what_was_not_asked_for() {
    let server = start(&[Encoding::Gzip], false).await;
    let message = dropout(0.3, f32s(&[3], &[1.0, 2.0, 3.0])).encode_to_vec();
    let plain = send(&server, "Dropout", &[], vec![framed(&message)]).await;
    for headers in [
        &[("grpc-accept-encoding", "identity,deflate,gzip")][..],
        &[("grpc-encoding", "gzip")],
        &[("grpc-encoding", "gzip"), ("grpc-accept-encoding", "identity,zstd")],
        &[("grpc-encoding", "identity"), ("grpc-accept-encoding", "gzip")],
    ] {
        let answer = send(&server, "Dropout", headers, vec![framed(&message)]).await;
        assert_eq!((&answer.data, header(&answer, "grpc-encoding")), (&plain.data, None), "{headers:?}");
    }
    let part = |values: &[f32]| {
        let gradients = vec![f32s(&[values.len() as i64], values)];
        pb::MeasureGradientsRequest { gradients, ..Default::default() }.encode_to_vec()
    };
    let (first, second) = (part(&[3.0]), part(&[4.0]));
    let plain = send(&server, "MeasureGradients", &[], vec![framed(&first), framed(&second)]).await;
    let mixed = vec![flagged(&compress(Encoding::Gzip, &first)).into(), framed(&second)];
    let answer = send(&server, "MeasureGradients", &[("grpc-encoding", "gzip")], mixed).await;
    assert!(answer == Answer { headers: answer.headers.clone(), ..plain } && code(&answer) == "0");
}

/// Row 24, and the cases of gRPC in which the compressed flag and the `grpc-encoding` header disagree.
#[tokio::test]
async fn what_cannot_be_decompressed_is_an_error() {
    const INTERNAL: &str = "13";
    for codec_path in [false, true] {
        let server = start(&BOTH, codec_path).await;
        let message = dropout(0.3, f32s(&[1000], &[1.5; 1000])).encode_to_vec();
        for encoding in BOTH {
            let packed = compress(encoding, &message);
            let magic = [&[packed[0] ^ 0xFF][..], &packed[1..]].concat();
            for (what, body) in [
                ("another magic", flagged(&magic)),
                ("cut off", flagged(&packed[..packed.len() / 2])),
                ("one byte short", flagged(&packed[..packed.len() - 1])),
                ("garbage behind", flagged(&[&packed[..], b"garbage"].concat())),
                ("nothing", flagged(&[])),
                ("plain", flagged(&message)),
                ("the call ends within it", flagged(&packed)[..packed.len()].to_vec()),
            ] {
                for method in ["Normalize", "Dropout", "MeasureGradients"] {
                    let sent = [("grpc-encoding", name(encoding))];
                    let answer = send(&server, method, &sent, vec![body.clone().into()]).await;
                    assert_eq!(code(&answer), INTERNAL, "{what} {encoding:?} {method}: {answer:?}");
                }
            }
            // Compressed without the header; compressed with another encoding than the header names.
            let other = if encoding == Encoding::Gzip { "zstd" } else { "gzip" };
            for headers in [&[][..], &[("grpc-encoding", "identity")], &[("grpc-encoding", other)]] {
                let answer = send(&server, "Dropout", headers, vec![flagged(&packed).into()]).await;
                assert_eq!(code(&answer), INTERNAL, "{headers:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_encoding_that_is_not_served_is_named_beside_those_that_are() {
    const UNIMPLEMENTED: &str = "12";
    let message = dropout(0.3, f32s(&[1], &[1.5])).encode_to_vec();
    for (encodings, sent, served) in [
        (&[][..], "gzip", "identity"),
        (&[], "zstd", "identity"),
        (&[Encoding::Gzip], "zstd", "identity,gzip"),
        (&[Encoding::Zstd], "gzip", "identity,zstd"),
        (&BOTH, "deflate", "identity,gzip,zstd"),
        (&BOTH, "GZIP", "identity,gzip,zstd"),
    ] {
        for codec_path in [false, true] {
            let server = start(encodings, codec_path).await;
            let body = flagged(&compress(Encoding::Gzip, &message));
            let answer = send(&server, "Dropout", &[("grpc-encoding", sent)], vec![body.into()]).await;
            assert_eq!(code(&answer), UNIMPLEMENTED, "{encodings:?} {sent}");
            assert_eq!(header(&answer, "grpc-accept-encoding"), Some(served), "{encodings:?} {sent}");
        }
    }
}
