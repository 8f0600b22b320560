//! The direct path answers every input, however its frames are cut, as tonic's codec does: the same bytes, the same
//! status, the same details.

mod replaced;

use std::sync::OnceLock;

use bytes::Bytes;
use evenkeel::{config::ServerConfig, server::Running};
use evenkeel_proto::v1 as pb;
pub(crate) use evenkeel_testing::answer::{Answer, send};
use evenkeel_testing::{
    answer::send_frames,
    frames::{self, framed},
};
use http_body::Frame;
use proptest::prelude::*;
use prost::Message as _;
use tokio::runtime::Runtime;
use tonic::codegen::http::{HeaderName, HeaderValue};

use crate::harness::{clip, dropout, f32s, norm_kinds, normalize};

/// A small limit, so that messages above it are small as well.
const LIMIT: usize = 1 << 16;

/// A limit that leaves room for messages of several frames, which are gathered in buffers of the pool.
const LARGE: usize = 1 << 23;

/// A method, headers and frames.
type Case = (&'static str, &'static [(&'static str, &'static str)], Vec<Bytes>);

/// A server for each path, on a runtime that outlives the tests.
struct Servers {
    runtime: Runtime,
    direct: Running,
    codec: Running,
    /// The same for messages up to [`LARGE`].
    large: (Running, Running),
}

fn servers() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let runtime = Runtime::new().expect("a runtime");
        let (direct, codec) = runtime.block_on(start(LIMIT));
        let large = runtime.block_on(start(LARGE));
        Servers { runtime, direct, codec, large }
    })
}

/// A server for each path.
async fn start(max_message_bytes: usize) -> (Running, Running) {
    let start = async |codec_path| {
        let config = ServerConfig { codec_path, max_message_bytes, ..ServerConfig::on_free_port() };
        Running::start(config).await.expect("the server starts")
    };
    (start(false).await, start(true).await)
}

/// The answers of the direct path and of the codec path to the same frames.
pub(crate) fn both(method: &str, headers: &[(&str, &str)], frames: &[Bytes]) -> (Answer, Answer) {
    let Servers { runtime, direct, codec, .. } = servers();
    runtime.block_on(async {
        tokio::join!(send(direct, method, headers, frames.to_vec()), send(codec, method, headers, frames.to_vec()))
    })
}

/// `bytes`, cut at these places.
fn cut(bytes: &[u8], places: &[prop::sample::Index]) -> Vec<Bytes> {
    frames::cut(bytes, places.iter().map(|place| place.index(bytes.len() + 1)))
}

fn tensors() -> impl Strategy<Value = pb::Tensor> {
    let named = (0usize..40, prop::sample::select(vec!["", "w"]));
    let bytes = (named, 1usize..200).prop_map(|((rows, name), columns)| {
        let values: Vec<f32> = (0..rows * columns).map(|i| (i * i % 97) as f32).collect();
        pb::Tensor { name: name.to_owned(), ..f32s(&[rows as i64, columns as i64], &values) }
    });
    let typed = prop::collection::vec(any::<f32>(), 0..20).prop_map(|float_data| pb::Tensor {
        shape: vec![float_data.len() as i64],
        float_data,
        ..Default::default()
    });
    prop_oneof![4 => bytes, 1 => typed]
}

/// A method and a message for it, most of them right.
fn calls() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let clipping = (prop::collection::vec(tensors(), 0..4), 0i32..5).prop_map(|(gradients, mode)| {
        let request = pb::ClipGradientsRequest { mode, ..clip(pb::ClipMode::Norm, 1.0, gradients) };
        ("ClipGradients", request.encode_to_vec())
    });
    let single = (tensors(), 0usize..6, any::<bool>()).prop_map(|(input, method, flag)| match method {
        0 => {
            let request = pb::NormalizeRequest { return_statistics: flag, ..normalize(pb::NormKind::Layer, input) };
            ("Normalize", request.encode_to_vec())
        }
        1 => {
            let request = pb::NormalizeBackwardRequest {
                kind: pb::NormKind::Rms.into(),
                weight: flag.then(|| f32s(&[1], &[2.0])),
                input: Some(input.clone()),
                grad_output: Some(input),
                ..Default::default()
            };
            ("NormalizeBackward", request.encode_to_vec())
        }
        2 => ("Dropout", pb::DropoutRequest { return_mask: flag, ..dropout(0.5, input) }.encode_to_vec()),
        3 => {
            let request = pb::DropoutBackwardRequest { p: Some(0.5), grad_output: Some(input), ..Default::default() };
            ("DropoutBackward", request.encode_to_vec())
        }
        4 => {
            let request = pb::MeasureGradientsRequest { gradients: vec![input], ..Default::default() };
            ("MeasureGradientsUnary", request.encode_to_vec())
        }
        _ => {
            let part = pb::measure_statistics_request::Part::Header(normalize(pb::NormKind::Layer, input));
            let request = pb::MeasureStatisticsRequest { part: Some(part), ..Default::default() };
            ("MeasureStatisticsUnary", request.encode_to_vec())
        }
    });
    prop_oneof![1 => clipping, 4 => single]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn messages_are_answered_alike(
        (method, message) in calls(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let (direct, codec) = both(method, &[], &cut(&framed(&message), &cuts));
        prop_assert_eq!(direct, codec);
    }

    /// Bytes changed, left out, added or repeated, in the message or in its prefix.
    #[test]
    fn broken_messages_are_answered_alike(
        (method, message) in calls(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0usize..4), 1..4),
    ) {
        let mut bytes = framed(&message).to_vec();
        for (place, byte, change) in changes {
            let place = place.index(bytes.len().max(1));
            match change {
                0 if !bytes.is_empty() => bytes[place] = byte,
                1 => bytes.truncate(place),
                2 => bytes.insert(place.min(bytes.len()), byte),
                _ => bytes.extend_from_slice(&framed(&message)),
            }
        }
        // Both paths wait for the rest of a message that is announced and not sent; that is not compared here.
        let (direct, codec) = both(method, &[], &cut(&bytes, &cuts));
        prop_assert!(direct == codec || direct.tells_another_fault(&codec), "{:?} and {:?}", direct, codec);
    }
}

/// Normalizations of several parts, each of which is computed while the next arrives.
fn large_normalizations() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop::sample::select(norm_kinds().collect::<Vec<_>>());
    let dtype = prop::sample::select(vec![pb::DataType::Float32, pb::DataType::Bfloat16]);
    let shape = (20i64..90, prop::sample::select(vec![2i64, 6]), 150i64..500);
    (kind, dtype, shape, any::<[bool; 3]>()).prop_map(|(kind, dtype, (n, c, l), [statistics, weighted, late])| {
        let bytes = n * c * l * if dtype == pb::DataType::Float32 { 4 } else { 2 };
        // The high byte of every number is that of a number of moderate size.
        let data: Vec<u8> = (0..bytes as usize).map(|i| if i % 2 == 1 { 0x3F } else { (i * i % 251) as u8 }).collect();
        let input = pb::Tensor { dtype: dtype.into(), shape: vec![n, c, l], data: data.into(), ..Default::default() };
        let affine = if matches!(kind, pb::NormKind::Layer | pb::NormKind::Rms) { l } else { c };
        let weighted = weighted && kind != pb::NormKind::L2;
        let weight = pb::NormalizeRequest {
            weight: weighted.then(|| f32s(&[affine], &vec![1.5; affine as usize])),
            ..Default::default()
        };
        let request = pb::NormalizeRequest {
            groups: if kind == pb::NormKind::Group { 2 } else { 0 },
            return_statistics: statistics,
            ..normalize(kind, input)
        };
        // Fields may come in any order; those after the tensor are not known while the tensor arrives.
        let (request, weight) = (request.encode_to_vec(), weight.encode_to_vec());
        if late { [request, weight].concat() } else { [weight, request].concat() }
    })
}

/// How a body ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Well,
    /// Without its last bytes.
    Short(usize),
    /// With bytes after the message that are no message.
    Long(u8),
    /// With another message.
    Twice,
    Trailers,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn normalizations_are_answered_alike_while_they_arrive(
        message in large_normalizations(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        end in prop_oneof![
            4 => Just(End::Well), 1 => (1usize..200_000).prop_map(End::Short), 1 => any::<u8>().prop_map(End::Long),
            1 => Just(End::Twice), 1 => Just(End::Trailers),
        ],
    ) {
        let mut bytes = framed(&message).to_vec();
        match end {
            End::Well | End::Trailers => (),
            End::Short(missing) => bytes.truncate(bytes.len().saturating_sub(missing)),
            End::Long(byte) => bytes.push(byte),
            End::Twice => bytes.extend_from_slice(&framed(&message)),
        }
        let frames = || {
            let mut frames: Vec<Frame<Bytes>> = cut(&bytes, &cuts).into_iter().map(Frame::data).collect();
            if matches!(end, End::Trailers) {
                frames.push(Frame::trailers([(HeaderName::from_static("x-end"), HeaderValue::from_static("1"))].into_iter().collect()));
            }
            frames
        };
        let Servers { runtime, large: (direct, codec), .. } = servers();
        let (direct, codec) = runtime.block_on(async {
            tokio::join!(
                send_frames(direct, "Normalize", &[], frames()),
                send_frames(codec, "Normalize", &[], frames()),
            )
        });
        // The direct path may have begun its answer: its status is in the trailers, and that of the codec path in the
        // headers.
        let (direct, codec) = if codec.headers.contains_key("grpc-status") {
            (direct.without_data(), codec.without_data())
        } else {
            (direct, codec)
        };
        prop_assert!(direct == codec, "{:?} and {:?}", direct, codec);
        if matches!(end, End::Well) {
            prop_assert!(direct.data.len() > message.len() / 2, "{:?} {:?}", direct.headers, direct.trailers);
        }
    }
}

/// Messages of megabytes, several times, so that buffers are used again: their old contents never appear in an answer.
#[tokio::test]
async fn large_messages_are_answered_alike() {
    let (direct, codec) = start(LARGE).await;
    for (turn, columns) in [700_001usize, 500_000, 700_001, 80_000, 1_000_003].into_iter().enumerate() {
        let values: Vec<f32> = (0..columns).map(|i| ((i * i + turn) % 1009) as f32).collect();
        let input = || f32s(&[1, columns as i64], &values);
        let messages = [
            ("Normalize", normalize(pb::NormKind::Layer, input()).encode_to_vec()),
            ("Dropout", pb::DropoutRequest { return_mask: true, ..dropout(0.3, input()) }.encode_to_vec()),
            ("ClipGradients", clip(pb::ClipMode::Value, 500.0, vec![input()]).encode_to_vec()),
        ];
        for (method, message) in messages {
            let (direct, codec) = in_frames(&direct, &codec, method, &message).await;
            assert!(direct == codec, "{method} of {columns}");
            assert!(direct.data.len() > 4 * columns, "{method} of {columns}");
        }
    }
}

/// The answers of two servers to a message in frames of some 300 KB.
async fn in_frames(direct: &Running, codec: &Running, method: &str, message: &[u8]) -> (Answer, Answer) {
    let frames: Vec<Bytes> = framed(message).chunks(300_007).map(Bytes::copy_from_slice).collect();
    tokio::join!(send(direct, method, &[], frames.clone()), send(codec, method, &[], frames))
}

/// `src/service/request_bytes.rs` repeats the texts of tonic's decoder for these faults.
#[test]
fn faults_of_streams_are_answered_alike() {
    let gradients = pb::MeasureGradientsRequest { gradients: vec![f32s(&[2], &[3.0, 4.0])], ..Default::default() };
    let part = pb::measure_statistics_request::Part::Header(normalize(pb::NormKind::Layer, f32s(&[1, 2], &[1.0, 2.0])));
    let statistics = pb::MeasureStatisticsRequest { part: Some(part), ..Default::default() };
    for (method, message) in
        [("MeasureGradients", gradients.encode_to_vec()), ("MeasureStatistics", statistics.encode_to_vec())]
    {
        let whole = framed(&message);
        let flagged = |flag: u8| Bytes::from([&[flag][..], &whole[1..]].concat());
        let over = Bytes::from([&[0][..], &(LIMIT as u32 + 1).to_be_bytes()].concat());
        // Each fault, and a part of its text.
        let faults = [
            (whole.slice(..3), "Unexpected%20EOF"),
            (whole.slice(..whole.len() - 1), "Unexpected%20EOF"),
            (flagged(1), "no%20grpc-encoding"),
            (flagged(2), "invalid%20compression%20flag:%202"),
            (flagged(255), "invalid%20compression%20flag:%20255"),
            (over, "exceeds%20the%20limit"),
        ];
        for (fault, words) in faults {
            for frames in [vec![fault.clone()], vec![whole.clone(), fault.clone()]] {
                let (direct, codec) = both(method, &[], &frames);
                assert_eq!(direct, codec, "{method}: {frames:?}");
                assert!(direct.header("grpc-message").contains(words), "{method}: {frames:?}: {direct:?}");
            }
        }
        // tonic's decoder takes a request that ends right after a prefix for one without that message.
        let (direct, _) = both(method, &[], &[whole.slice(..5)]);
        assert!(direct.header("grpc-message").contains("Unexpected%20EOF"), "{method}: {direct:?}");
    }
}

#[test]
fn what_is_not_plain_is_answered_alike() {
    let message = dropout(0.5, f32s(&[3], &[1.0, 2.0, 3.0])).encode_to_vec();
    let whole = framed(&message);
    let mut flagged = framed(&message).to_vec();
    flagged[0] = 1;
    let over = [&[0][..], &(LIMIT as u32 + 1).to_be_bytes()].concat();
    let cases: [Case; 9] = [
        ("Dropout", &[], vec![]),
        ("Dropout", &[], vec![Bytes::new(), whole.clone(), Bytes::new()]),
        ("Dropout", &[], vec![whole.clone(), whole.clone()]),
        ("Dropout", &[], vec![flagged.into()]),
        ("Dropout", &[("grpc-encoding", "gzip")], vec![whole.clone()]),
        ("Dropout", &[("grpc-encoding", "identity")], vec![whole.clone()]),
        ("Dropout", &[], vec![over.into()]),
        ("NoSuchMethod", &[], vec![whole.clone()]),
        ("Dropout", &[("grpc-timeout", "10S")], vec![whole]),
    ];
    for (index, (method, headers, frames)) in cases.into_iter().enumerate() {
        let (direct, codec) = both(method, headers, &frames);
        assert_eq!(direct, codec, "case {index}");
    }
}
