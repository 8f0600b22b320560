//! A stream of tensors is answered with the bytes of the unary call, wherever its data and its frames are cut.

#![no_main]

use arbitrary::{Arbitrary, Error, Result, Unstructured};
use bytes::Bytes;
use evenkeel_fuzz::{
    loopback::{framed, servers},
    messages::call,
};
use evenkeel_proto::v1 as pb;
use evenkeel_testing::streamed::Call;
use http_body::Frame;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

#[derive(Debug)]
struct Case {
    call: Call,
    method: &'static str,
    frames: Vec<Bytes>,
    /// The stream was changed, so that its answer differs from that to the call.
    is_edited: bool,
}

/// The call of a message, if its method has a stream and its tensors have bytes.
fn streamable(method: &str, message: &[u8]) -> Option<Call> {
    let call = match method {
        "Dropout" => Call::Dropout(pb::DropoutRequest::decode(message).ok()?),
        "DropoutBackward" => Call::DropoutBackward(pb::DropoutBackwardRequest::decode(message).ok()?),
        "Normalize" => Call::Normalize(Box::new(pb::NormalizeRequest::decode(message).ok()?)),
        "ClipGradients" => Call::Clip(pb::ClipGradientsRequest::decode(message).ok()?),
        _ => return None,
    };
    call.has_data().then_some(call)
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let (method, message) = call(u)?;
        let call = streamable(method, &message).ok_or(Error::IncorrectFormat)?;
        let lengths = (0..u.int_in_range(0..=6)?).map(|_| u.int_in_range(0..=200)).collect::<Result<Vec<_>>>()?;
        let (method, messages) = call.streamed(&lengths);
        let mut stream: Vec<u8> = messages.iter().flat_map(|message| framed(message)).collect();
        let is_edited = u.ratio(1, 4)?;
        if is_edited {
            let place = u.int_in_range(0..=stream.len() - 1)?;
            match u.int_in_range(0..=2)? {
                0 => stream.truncate(place),
                1 => stream[place] = u.arbitrary()?,
                _ => stream.insert(place, u.arbitrary()?),
            }
        }
        let mut cuts = vec![0, stream.len()];
        for _ in 0..u.int_in_range(0..=8)? {
            cuts.push(u.int_in_range(0..=stream.len())?);
        }
        cuts.sort_unstable();
        let stream = Bytes::from(stream);
        let frames = cuts.windows(2).map(|ends| stream.slice(ends[0]..ends[1])).collect();
        Ok(Self { call, method, frames, is_edited })
    }
}

fuzz_target!(|case: Case| {
    let Case { call, method, frames, is_edited } = case;
    let answer = servers().frames(method, frames.into_iter().map(Frame::data).collect());
    let status = answer.header("grpc-status");
    assert!(!status.is_empty() && !answer.header("grpc-message").contains("panic"), "{answer:?}");
    if is_edited {
        return;
    }
    let (method, message) = call.unary();
    let unary = call.outcome(&servers().call(method, &message));
    assert_eq!(call.stream_outcome(&answer), unary, "{call:?}");
});
