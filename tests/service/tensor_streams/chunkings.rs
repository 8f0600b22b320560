//! A stream has the bytes of the unary call, whatever the lengths of its messages and wherever its frames are cut.

use std::sync::OnceLock;

use bytes::{Buf as _, Bytes};
use evenkeel::{
    config::{MIN_MAX_STREAM_CHUNK_BYTES, ServerConfig},
    server::Running,
};
use evenkeel_proto::v1 as pb;
use evenkeel_testing::{
    answer::{Answer, send},
    frames::{cut, framed},
};
use pb::{
    ClipMode, DropoutKind, NormKind, clip_gradients_stream_request as clip, clip_gradients_stream_response as clipped,
    dropout_stream_request as dropout, dropout_stream_response as dropped, normalize_stream_request as normalize,
    normalize_stream_response as normalized,
};
use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::{DTYPES, whole};
use crate::harness::{f32s, norm_kinds};

struct Servers {
    runtime: Runtime,
    /// One with the shortest chunks of answers that are allowed, and one with the defaults.
    servers: [Running; 2],
}

fn servers() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let runtime = Runtime::new().expect("a runtime");
        let default = ServerConfig::on_free_port();
        let short = ServerConfig { max_stream_chunk_bytes: MIN_MAX_STREAM_CHUNK_BYTES, ..default.clone() };
        let servers =
            [short, default].map(|config| runtime.block_on(Running::start(config)).expect("the server starts"));
        Servers { runtime, servers }
    })
}

/// A unary request, whose tensors have their elements.
#[derive(Clone, Debug)]
enum Call {
    Dropout(pb::DropoutRequest),
    DropoutBackward(pb::DropoutBackwardRequest),
    Normalize(Box<pb::NormalizeRequest>),
    Clip(pb::ClipGradientsRequest),
}

fn tensors() -> impl Strategy<Value = pb::Tensor> {
    let n = prop_oneof![1 => Just(0), 8 => 1i64..6];
    let c = prop::sample::select(vec![2i64, 6]);
    // Some kinds refuse sets of one element.
    let l = prop_oneof![2i64..100, 100i64..3000];
    (prop::sample::select(DTYPES.to_vec()), n, c, l).prop_map(|((dtype, _), n, c, l)| whole(dtype, &[n, c, l]))
}

fn calls() -> impl Strategy<Value = Call> {
    let kinds = vec![DropoutKind::Element, DropoutKind::Channel, DropoutKind::Alpha, DropoutKind::FeatureAlpha];
    let dropout = (tensors(), prop::sample::select(kinds), any::<[bool; 2]>()).prop_map(
        |(input, kind, [return_mask, backward])| {
            let (p, kind, channel) =
                (Some(0.3), kind as i32, matches!(kind, DropoutKind::Channel | DropoutKind::FeatureAlpha));
            let channel_axis = channel.then_some(1);
            if backward {
                let grad_output = Some(input);
                let request =
                    pb::DropoutBackwardRequest { p, seed: 7, kind, channel_axis, grad_output, ..Default::default() };
                return Call::DropoutBackward(request);
            }
            let input = Some(input);
            Call::Dropout(pb::DropoutRequest {
                p,
                seed: 7,
                offset: 3,
                kind,
                return_mask,
                channel_axis,
                input,
                ..Default::default()
            })
        },
    );
    let kinds = prop::sample::select(norm_kinds().collect::<Vec<_>>());
    let normalize = (tensors(), kinds, any::<[bool; 2]>()).prop_map(|(input, kind, [return_statistics, running])| {
        // Running statistics, in evaluation, let the answer begin before a set is complete.
        let running = running && matches!(kind, NormKind::Batch | NormKind::Instance);
        let channels = |value: f32| running.then(|| f32s(&[input.shape[1]], &vec![value; input.shape[1] as usize]));
        Call::Normalize(Box::new(pb::NormalizeRequest {
            groups: if kind == NormKind::Group { 2 } else { 0 },
            running_mean: channels(0.25),
            running_var: channels(2.0),
            training: running.then_some(false),
            return_statistics: return_statistics && !running,
            ..crate::harness::normalize(kind, input.clone())
        }))
    });
    let modes = prop::sample::select(vec![ClipMode::Norm, ClipMode::NormPerTensor, ClipMode::Value]);
    let total = prop::option::of(Just(123.0));
    let clip = (prop::collection::vec(tensors(), 0..4), modes, total).prop_map(|(gradients, mode, total_norm)| {
        let total_norm = total_norm.filter(|_| mode == ClipMode::Norm);
        Call::Clip(pb::ClipGradientsRequest { total_norm, ..crate::harness::clip(mode, 1.5, gradients) })
    });
    prop_oneof![2 => dropout, 2 => normalize, 1 => clip]
}

/// The lengths of a tensor's first messages; the last one has the rest.
fn lengths() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1 => Just(0), 3 => 1usize..9, 3 => 1usize..3000, 2 => 1usize..70_000], 0..30)
}

fn pieces(bytes: &Bytes, lengths: &[usize]) -> Vec<Bytes> {
    let mut rest = bytes.clone();
    let mut pieces: Vec<_> = lengths.iter().map(|&len| rest.split_to(len.min(rest.len()))).collect();
    pieces.push(rest);
    pieces
}

/// A tensor as a header has it, and its elements.
fn split(tensor: Option<pb::Tensor>) -> (Option<pb::Tensor>, Bytes) {
    let tensor = tensor.expect("there is one");
    let data = tensor.data.clone();
    (Some(pb::Tensor { data: Bytes::new(), ..tensor }), data)
}

/// The messages in these bytes of an answer.
fn messages<M: prost::Message + Default>(mut bytes: &[u8]) -> Vec<M> {
    let mut messages = Vec::new();
    while bytes.has_remaining() {
        assert_eq!(bytes.get_u8(), 0, "it is not compressed");
        let (message, rest) = bytes[4..].split_at(u32::from_be_bytes(bytes[..4].try_into().expect("four")) as usize);
        messages.push(M::decode(message).expect("it is a message"));
        bytes = rest;
    }
    messages
}

/// An answer to a call of either kind. A stream's summary has no tensors and no mask.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    status: String,
    tensors: Vec<Bytes>,
    mask: Bytes,
    summary: String,
}

impl Outcome {
    fn of(answer: &Answer) -> Self {
        Self { status: answer.header("grpc-status"), ..Self::default() }
    }

    fn append(&mut self, bytes: &Bytes) {
        let last = self.tensors.last_mut().expect("it was announced");
        *last = [&last[..], bytes].concat().into();
    }
}

impl Call {
    /// Whether the tensor has no elements, which some kinds refuse.
    fn has_nothing(&self) -> bool {
        let tensor = match self {
            Self::Dropout(request) => &request.input,
            Self::DropoutBackward(request) => &request.grad_output,
            Self::Normalize(request) => &request.input,
            Self::Clip(_) => &None,
        };
        tensor.as_ref().is_some_and(|tensor| tensor.data.is_empty())
    }

    fn unary(&self) -> (&'static str, Vec<u8>) {
        use prost::Message as _;
        match self {
            Self::Dropout(request) => ("Dropout", request.encode_to_vec()),
            Self::DropoutBackward(request) => ("DropoutBackward", request.encode_to_vec()),
            Self::Normalize(request) => ("Normalize", request.encode_to_vec()),
            Self::Clip(request) => ("ClipGradients", request.encode_to_vec()),
        }
    }

    /// The method and the messages of the stream.
    fn streamed(&self, lengths: &[usize]) -> (&'static str, Vec<Vec<u8>>) {
        use prost::Message as _;
        let dropout = |part| pb::DropoutStreamRequest { part: Some(part) }.encode_to_vec();
        let normalize = |part| pb::NormalizeStreamRequest { part: Some(part) }.encode_to_vec();
        let clip = |part| pb::ClipGradientsStreamRequest { part: Some(part) }.encode_to_vec();
        match self.clone() {
            Self::Dropout(mut request) => {
                let (input, data) = split(request.input.take());
                let header = dropout(dropout::Part::Header(pb::DropoutRequest { input, ..request }));
                let data = pieces(&data, lengths).into_iter().map(|piece| dropout(dropout::Part::Data(piece)));
                ("DropoutStream", std::iter::once(header).chain(data).collect())
            }
            Self::DropoutBackward(mut request) => {
                let (grad_output, data) = split(request.grad_output.take());
                let header = pb::DropoutBackwardRequest { grad_output, ..request };
                let header = dropout(dropout::Part::BackwardHeader(header));
                let data = pieces(&data, lengths).into_iter().map(|piece| dropout(dropout::Part::Data(piece)));
                ("DropoutStream", std::iter::once(header).chain(data).collect())
            }
            Self::Normalize(mut request) => {
                let (input, data) = split(request.input.take());
                let header = normalize(normalize::Part::Header(pb::NormalizeRequest { input, ..*request }));
                let data = pieces(&data, lengths).into_iter().map(|piece| normalize(normalize::Part::Data(piece)));
                ("NormalizeStream", std::iter::once(header).chain(data).collect())
            }
            Self::Clip(mut request) => {
                let gradients = std::mem::take(&mut request.gradients);
                let mut messages = vec![clip(clip::Part::Header(request))];
                for gradient in gradients {
                    let (tensor, data) = split(Some(gradient));
                    messages.push(clip(clip::Part::Tensor(tensor.expect("there is one"))));
                    messages.extend(pieces(&data, lengths).into_iter().map(|piece| clip(clip::Part::Data(piece))));
                }
                ("ClipGradientsStream", messages)
            }
        }
    }

    /// The outcome of the unary call.
    fn outcome(&self, answer: &Answer) -> Outcome {
        let mut outcome = Outcome::of(answer);
        if outcome.status != "0" {
            return outcome;
        }
        match self {
            Self::Dropout(_) => {
                for pb::DropoutResponse { output, mask, kept } in messages(&answer.data) {
                    outcome.tensors.push(split(output).1);
                    outcome.mask = mask;
                    outcome.summary = format!("{:?}", pb::DropoutResponse { kept, ..Default::default() });
                }
            }
            Self::DropoutBackward(_) => {
                for pb::DropoutBackwardResponse { grad_input } in messages(&answer.data) {
                    outcome.tensors.push(split(grad_input).1);
                    outcome.summary = format!("{:?}", pb::DropoutResponse::default());
                }
            }
            Self::Normalize(_) => {
                for mut response in messages::<pb::NormalizeResponse>(&answer.data) {
                    outcome.tensors.push(split(response.output.take()).1);
                    outcome.summary = format!("{:?}", pb::NormalizeResponse { axes: Vec::new(), ..response });
                }
            }
            Self::Clip(_) => {
                for mut response in messages::<pb::ClipGradientsResponse>(&answer.data) {
                    let gradients = std::mem::take(&mut response.gradients);
                    outcome.tensors.extend(gradients.into_iter().map(|gradient| gradient.data));
                    outcome.summary = format!("{response:?}");
                }
            }
        }
        outcome
    }

    /// The outcome of the stream.
    fn stream_outcome(&self, answer: &Answer) -> Outcome {
        let mut outcome = Outcome::of(answer);
        if outcome.status != "0" {
            return outcome;
        }
        match self {
            Self::Dropout(_) | Self::DropoutBackward(_) => {
                for message in messages::<pb::DropoutStreamResponse>(&answer.data) {
                    match message.part.expect("each message has a part") {
                        dropped::Part::Header(_) | dropped::Part::BackwardHeader(_) => {
                            outcome.tensors.push(Bytes::new())
                        }
                        dropped::Part::Data(bytes) => outcome.append(&bytes),
                        dropped::Part::Mask(bytes) => outcome.mask = [&outcome.mask[..], &bytes].concat().into(),
                        dropped::Part::Summary(summary) => outcome.summary = format!("{summary:?}"),
                    }
                }
            }
            Self::Normalize(_) => {
                for message in messages::<pb::NormalizeStreamResponse>(&answer.data) {
                    match message.part.expect("each message has a part") {
                        normalized::Part::Header(_) => outcome.tensors.push(Bytes::new()),
                        normalized::Part::Data(bytes) => outcome.append(&bytes),
                        normalized::Part::Summary(summary) => outcome.summary = format!("{summary:?}"),
                    }
                }
            }
            Self::Clip(_) => {
                for message in messages::<pb::ClipGradientsStreamResponse>(&answer.data) {
                    match message.part.expect("each message has a part") {
                        clipped::Part::Header(_) => (),
                        clipped::Part::Tensor(_) => outcome.tensors.push(Bytes::new()),
                        clipped::Part::Data(bytes) => outcome.append(&bytes),
                        clipped::Part::Summary(summary) => outcome.summary = format!("{summary:?}"),
                    }
                }
            }
        }
        outcome
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn streams_have_the_bytes_of_the_unary_calls_however_they_are_cut(
        call in calls(), lengths in lengths(), server in 0usize..2,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let Servers { runtime, servers } = servers();
        let server = &servers[server];
        let (method, message) = call.unary();
        let unary = call.outcome(&runtime.block_on(send(server, method, &[], vec![framed(&message)])));
        let (method, messages) = call.streamed(&lengths);
        let bytes: Vec<u8> = messages.iter().flat_map(|message| framed(message)).collect();
        let frames = cut(&bytes, cuts.iter().map(|cut| cut.index(bytes.len())));
        let streamed = call.stream_outcome(&runtime.block_on(send(server, method, &[], frames)));
        prop_assert!(unary == streamed, "{method} {lengths:?}: {} and {}", unary.status, streamed.status);
        prop_assert!(unary.status == "0" || call.has_nothing(), "{method}: {}", unary.status);
    }
}
