//! A stream of a tensor is answered with the bytes of the unary call, wherever its data and its frames are cut.

#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::Bytes;
use evenkeel_fuzz::loopback::{framed, servers};
use evenkeel_proto::v1::{self as pb, dropout_stream_request, dropout_stream_response::Part};
use http_body::Frame;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

#[derive(Debug)]
struct Case {
    request: pb::DropoutRequest,
    frames: Vec<Bytes>,
    /// The stream was changed: whatever it is answered is right.
    is_edited: bool,
}

/// Places between 0 and `len`, in order, with both.
fn cuts(u: &mut Unstructured<'_>, len: usize, most: usize) -> Result<Vec<usize>> {
    let mut cuts = vec![0, len];
    for _ in 0..u.int_in_range(0..=most)? {
        cuts.push(u.int_in_range(0..=len)?);
    }
    cuts.sort_unstable();
    Ok(cuts)
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let shape: Vec<i64> = (0..u.int_in_range(2..=3)?).map(|_| u.int_in_range(0..=40)).collect::<Result<_>>()?;
        let len = 4 * shape.iter().product::<i64>() as usize;
        let byte: u8 = u.arbitrary()?;
        let data: Vec<u8> = (0..len).map(|i| (i as u8).wrapping_mul(37) ^ byte).collect();
        let kind = u.int_in_range(0..=4)?;
        let channel_axis = if kind % 2 == 0 && kind > 0 { Some(-1) } else { None };
        let tensor = pb::Tensor { dtype: 1, shape, ..Default::default() };
        let header = pb::DropoutRequest {
            p: Some(f64::from(u.int_in_range(0..=4u8)?) / 4.0),
            seed: u.arbitrary()?,
            offset: u.int_in_range(0..=100)?,
            kind,
            return_mask: u.arbitrary()?,
            channel_axis,
            input: Some(tensor.clone()),
            ..Default::default()
        };
        let message = |part| framed(&pb::DropoutStreamRequest { part: Some(part) }.encode_to_vec());
        let mut stream = message(dropout_stream_request::Part::Header(header.clone())).to_vec();
        for ends in cuts(u, len, 6)?.windows(2) {
            let data = Bytes::copy_from_slice(&data[ends[0]..ends[1]]);
            stream.extend_from_slice(&message(dropout_stream_request::Part::Data(data)));
        }
        let is_edited = u.ratio(1, 4)?;
        if is_edited {
            let place = u.int_in_range(0..=stream.len() - 1)?;
            match u.int_in_range(0..=2)? {
                0 => stream.truncate(place),
                1 => stream[place] = u.arbitrary()?,
                _ => stream.insert(place, u.arbitrary()?),
            }
        }
        let cuts = cuts(u, stream.len(), 8)?;
        let stream = Bytes::from(stream);
        let frames = cuts.windows(2).map(|ends| stream.slice(ends[0]..ends[1])).collect();
        let request = pb::DropoutRequest { input: Some(pb::Tensor { data: data.into(), ..tensor }), ..header };
        Ok(Self { request, frames, is_edited })
    }
}

/// The data, the mask, and how many were kept, if the stream has ended well.
fn joined(mut messages: &[u8]) -> Option<(Vec<u8>, Vec<u8>, u64)> {
    let (mut data, mut mask, mut kept) = (Vec::new(), Vec::new(), None);
    while let Some((prefix, rest)) = messages.split_at_checked(5) {
        let len = u32::from_be_bytes(prefix[1..].try_into().expect("four bytes")) as usize;
        let (message, rest) = rest.split_at(len);
        messages = rest;
        match pb::DropoutStreamResponse::decode(message).expect("a message").part.expect("it has a part") {
            Part::Data(bytes) => data.extend_from_slice(&bytes),
            Part::Mask(bytes) => mask.extend_from_slice(&bytes),
            Part::Summary(summary) => kept = Some(summary.kept),
            Part::Header(_) | Part::BackwardHeader(_) => (),
        }
    }
    kept.map(|kept| (data, mask, kept))
}

fuzz_target!(|case: Case| {
    let Case { request, frames, is_edited } = case;
    let frames = || frames.iter().cloned().map(Frame::data).collect();
    let answer = servers().frames("DropoutStream", frames());
    if is_edited {
        return;
    }
    let unary = servers().call("Dropout", &request.encode_to_vec());
    let expected = pb::DropoutResponse::decode(unary.message()).ok().and_then(|unary| {
        let data = unary.output?.data.to_vec();
        Some((data, unary.mask.to_vec(), unary.kept))
    });
    assert_eq!(joined(&answer.data), expected, "{answer:?}");
});
