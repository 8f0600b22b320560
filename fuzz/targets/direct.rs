//! The direct path responds as tonic's codec does, to messages right and wrong, whole and broken, however they are cut.

#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::Bytes;
use evenkeel_fuzz::{
    loopback::{framed, servers},
    messages::call,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use libfuzzer_sys::fuzz_target;

#[derive(Debug)]
struct Case {
    method: &'static str,
    frames: Vec<Bytes>,
    trailers: bool,
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let (method, mut message) = call(u)?;
        if u.ratio(1, 3)? {
            for _ in 0..u.int_in_range(1..=4)? {
                edit(u, &mut message)?;
            }
        }
        let mut bytes = framed(&message).to_vec();
        let mut trailers = false;
        match u.int_in_range(0..=15)? {
            0 => bytes.truncate(u.int_in_range(0..=bytes.len())?),
            1 => bytes.push(u.arbitrary()?),
            2 => bytes.extend_from_slice(&framed(&message)),
            3 => trailers = true,
            4 => edit(u, &mut bytes)?, // the prefix, of short messages
            _ => (),
        }
        let mut cuts = vec![0, bytes.len()];
        for _ in 0..u.int_in_range(0..=6)? {
            // The fields that describe the message are in its first bytes.
            let most = if u.ratio(1, 2)? { bytes.len().min(64) } else { bytes.len() };
            cuts.push(u.int_in_range(0..=most)?);
        }
        cuts.sort_unstable();
        let bytes = Bytes::from(bytes);
        let frames = cuts.windows(2).map(|ends| bytes.slice(ends[0]..ends[1])).collect();
        Ok(Self { method, frames, trailers })
    }
}

/// Changes, inserts or removes a byte, or cuts off the end.
fn edit(u: &mut Unstructured<'_>, bytes: &mut Vec<u8>) -> Result<()> {
    let most = if u.ratio(3, 4)? { bytes.len().min(64) } else { bytes.len() };
    let place = u.int_in_range(0..=most)?;
    match u.int_in_range(0..=3)? {
        0 => bytes.insert(place, u.arbitrary()?),
        1 => bytes.truncate(place),
        2 if place < bytes.len() => drop(bytes.remove(place)),
        _ if place < bytes.len() => bytes[place] = u.arbitrary()?,
        _ => bytes.push(u.arbitrary()?),
    }
    Ok(())
}

fuzz_target!(|case: Case| {
    let Case { method, frames, trailers } = &case;
    let frames = || {
        let mut frames: Vec<Frame<Bytes>> = frames.iter().cloned().map(Frame::data).collect();
        if *trailers {
            let pair = (HeaderName::from_static("x-end"), HeaderValue::from_static("1"));
            frames.push(Frame::trailers(HeaderMap::from_iter([pair])));
        }
        frames
    };
    let (direct, codec) = servers().both(method, frames);
    assert!(direct == codec || direct.tells_another_fault(&codec), "{method}: {direct:?} and {codec:?}");
});
