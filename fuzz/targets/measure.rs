//! Partial norms in requests are refused, or merge to the same bits in any order and on both paths of the server, whatever
//! their counts and sums are.

#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::Bytes;
use evenkeel_exact::{NormOrder, NormPartial};
use evenkeel_fuzz::loopback::{framed, servers};
use evenkeel_proto::v1 as pb;
use http_body::Frame;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

/// The most bytes that a sum may have.
const MAX_SUM: usize = 532;

#[derive(Debug)]
struct Case {
    messages: Vec<pb::MeasureGradientsRequest>,
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let norm_type = *u.choose(&[1.0, 2.0, 2.0, f64::INFINITY])?;
        let message = |u: &mut Unstructured<'a>| {
            let partials = (0..u.int_in_range(0..=3)?).map(|_| partial(u, norm_type)).collect::<Result<_>>()?;
            Ok(pb::MeasureGradientsRequest { norm_type: Some(norm_type), partials, gradients: Vec::new() })
        };
        Ok(Self { messages: (0..u.int_in_range(1..=3)?).map(|_| message(u)).collect::<Result<_>>()? })
    }
}

/// A partial; in most cases one that some elements can have.
fn partial(u: &mut Unstructured<'_>, norm_type: f64) -> Result<pb::NormPartial> {
    let elements = count(u)?;
    let largest = if norm_type.is_infinite() { u.arbitrary::<f64>()?.abs() } else { 0.0 };
    Ok(pb::NormPartial {
        norm_type: if u.ratio(31, 32)? { norm_type } else { u.arbitrary()? },
        elements,
        nan_elements: if u.ratio(1, 4)? { count(u)? } else { 0 },
        infinite_elements: if u.ratio(1, 4)? { count(u)? } else { 0 },
        largest: if u.ratio(15, 16)? && largest.is_finite() { largest } else { u.arbitrary()? },
        sum: if norm_type.is_infinite() && u.ratio(15, 16)? { Bytes::new() } else { sum(u)?.into() },
    })
}

/// A count, in most cases near a power of two, where sums may overflow.
fn count(u: &mut Unstructured<'_>) -> Result<u64> {
    let power = u.int_in_range(0..=64)?;
    let near: u64 = 1u64.checked_shl(power).unwrap_or(0).wrapping_add_signed(u.int_in_range(-2..=2)?);
    if u.ratio(1, 4)? { u.arbitrary() } else { Ok(near) }
}

/// A sum of any length, of equal bytes but for some at its end.
fn sum(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let (fill, len) = (*u.choose(&[0, 1, 0xFF])?, u.int_in_range(0..=MAX_SUM + 2)?);
    let mut sum = vec![fill; len];
    for byte in sum.iter_mut().rev().take(u.int_in_range(0..=16)?) {
        *byte = u.arbitrary()?;
    }
    Ok(sum)
}

/// The partials merged in their order; `None`: one of them is refused.
fn merged<'a>(order: NormOrder, partials: impl Iterator<Item = &'a pb::NormPartial>) -> Option<NormPartial> {
    let mut total = NormPartial::new(order);
    for partial in partials {
        total.merge(&NormPartial::try_from(partial.clone()).ok()?).ok()?;
    }
    Some(total)
}

fuzz_target!(|case: Case| {
    let Case { messages } = &case;
    let order = messages[0].norm_type.and_then(NormOrder::from_norm_type).expect("each case has an order");
    let partials = || messages.iter().flat_map(|message| &message.partials);
    let expected = merged(order, partials());
    assert_eq!(merged(order, partials().collect::<Vec<_>>().into_iter().rev()), expected, "in the other order");

    let frames = || messages.iter().map(|message| Frame::data(framed(&message.encode_to_vec()))).collect();
    let (direct, codec) = servers().both("MeasureGradients", frames);
    assert!(direct == codec, "{direct:?} and {codec:?}");
    // OK or INVALID_ARGUMENT, and nothing else.
    assert_eq!(direct.header("grpc-status"), if expected.is_some() { "0" } else { "3" }, "{direct:?}");
    if let Some(expected) = expected {
        let answer = pb::MeasureGradientsResponse::decode(direct.message()).expect("an answer");
        assert_eq!(answer.partial, Some(pb::NormPartial::from(&expected)));
        assert_eq!(answer.total_norm.to_bits(), expected.norm().to_bits());
    }
});
