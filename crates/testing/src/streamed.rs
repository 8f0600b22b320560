//! A unary call as a stream of its tensors, and the outcomes of both, which must be the same.

use bytes::{Buf as _, Bytes};
use evenkeel_proto::v1 as pb;
use pb::{
    clip_gradients_stream_request as clip, clip_gradients_stream_response as clipped,
    dropout_stream_request as dropout, dropout_stream_response as dropped, normalize_stream_request as normalize,
    normalize_stream_response as normalized,
};
use prost::Message;

use crate::answer::Answer;

/// A unary request, whose tensors have their elements.
#[derive(Clone, Debug)]
pub enum Call {
    /// Dropout.
    Dropout(pb::DropoutRequest),
    /// DropoutBackward.
    DropoutBackward(pb::DropoutBackwardRequest),
    /// Normalize.
    Normalize(Box<pb::NormalizeRequest>),
    /// ClipGradients.
    Clip(pb::ClipGradientsRequest),
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
pub fn messages<M: Message + Default>(mut bytes: &[u8]) -> Vec<M> {
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
pub struct Outcome {
    /// The status code.
    pub status: String,
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
    /// Whether all tensors have their elements as bytes, which streams need.
    pub fn has_data(&self) -> bool {
        let has_data = |tensor: &pb::Tensor| tensor.float_data.is_empty();
        match self {
            Self::Dropout(request) => request.input.as_ref().is_some_and(has_data),
            Self::DropoutBackward(request) => request.grad_output.as_ref().is_some_and(has_data),
            Self::Normalize(request) => request.input.as_ref().is_some_and(has_data),
            Self::Clip(request) => request.gradients.iter().all(has_data),
        }
    }

    /// Whether the tensor has no elements, which some kinds refuse.
    pub fn has_nothing(&self) -> bool {
        let tensor = match self {
            Self::Dropout(request) => &request.input,
            Self::DropoutBackward(request) => &request.grad_output,
            Self::Normalize(request) => &request.input,
            Self::Clip(_) => &None,
        };
        tensor.as_ref().is_some_and(|tensor| tensor.data.is_empty())
    }

    /// The method and the message of the unary call.
    pub fn unary(&self) -> (&'static str, Vec<u8>) {
        match self {
            Self::Dropout(request) => ("Dropout", request.encode_to_vec()),
            Self::DropoutBackward(request) => ("DropoutBackward", request.encode_to_vec()),
            Self::Normalize(request) => ("Normalize", request.encode_to_vec()),
            Self::Clip(request) => ("ClipGradients", request.encode_to_vec()),
        }
    }

    /// The method and the messages of the stream. `lengths`: those of each tensor's first messages; the last one has the rest.
    pub fn streamed(&self, lengths: &[usize]) -> (&'static str, Vec<Vec<u8>>) {
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
    pub fn outcome(&self, answer: &Answer) -> Outcome {
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
    pub fn stream_outcome(&self, answer: &Answer) -> Outcome {
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
