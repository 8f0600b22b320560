//! Messages of random bytes, which are counted no lower than what prost makes of them.

use evenkeel_proto::v1 as pb;
use proptest::{collection, prelude::*};
use prost::Message as _;

use super::{counted_of, prefixed};
use crate::{
    decoded_size::{shape::PER_MESSAGE, *},
    grpc::Method,
};

/// Bytes that are nearly a request: fields that are known and unknown, of all types, cut off, too long, or in groups.
fn nearly_requests() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![0..20_u64, any::<u64>()];
    let key = (prop_oneof![4 => 1..17_u32, 1 => any::<u32>()], 0..7_u32)
        .prop_map(|(field, wire)| u64::from(field) << 3 | u64::from(wire));
    let bytes = prop_oneof![
        3 => (key.clone(), collection::vec(any::<u8>(), 0..20)).prop_map(|(key, bytes)| {
            [varint((key & !7) | 2), prefixed(&bytes)].concat()
        }),
        2 => (key.clone(), number.clone()).prop_map(|(key, number)| [varint(key & !7), varint(number)].concat()),
        2 => (1..17_u64).prop_map(|field| [varint(field << 3 | 5), vec![0; 4]].concat()),
        1 => (1..17_u64).prop_map(|field| varint(field << 3 | 3)),
        1 => (1..17_u64).prop_map(|field| varint(field << 3 | 4)),
        1 => key.prop_map(varint),
        1 => collection::vec(any::<u8>(), 0..4),
        // Shapes and floats, packed.
        2 => collection::vec(0..100_u8, 0..20).prop_map(|shape| [vec![0x1A], prefixed(&shape)].concat()),
        2 => (0..5_usize).prop_map(|floats| [vec![0x72], prefixed(&vec![0; 4 * floats])].concat()),
    ];
    let tensor = collection::vec(bytes.clone(), 0..8).prop_map(|fields| fields.concat());
    let field = prop_oneof![
        2 => bytes,
        // A tensor whose length is right, or not quite.
        3 => (10..16_u64, tensor, -3..4_i64).prop_map(|(field, tensor, off)| {
            let length = if off.abs() > 2 { (tensor.len() as u64).saturating_add_signed(off) } else { tensor.len() as u64 };
            [varint(field << 3 | 2), varint(length), tensor].concat()
        }),
    ];
    collection::vec(field, 0..12).prop_map(|fields| fields.concat())
}

fn varint(number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_varint(number, &mut bytes);
    bytes
}

/// The least count for a tensor that prost has decoded.
fn least(tensor: &pb::Tensor) -> usize {
    if *tensor == pb::Tensor::default() {
        // prost makes the tensor before it checks the wire type of its field, so it may be there without being counted.
        return 0;
    }
    let pb::Tensor { name, dtype: _, shape, float_data, data: _ } = tensor;
    PER_MESSAGE + name.len() + shape.len() * PER_NUMBER + 4 * float_data.len() * PER_FLOAT_BYTE
}

/// As [`least`].
fn least_of_statistics(statistics: &pb::StatisticsPartial) -> usize {
    let pb::StatisticsPartial { kind: _, shape, sets } = statistics;
    // prost makes a set before it checks the wire type of its field, so the last one may be there without being
    // counted.
    let last_is_empty = sets.last().is_some_and(|set| *set == pb::SetStatistics::default());
    shape.len() * PER_NUMBER + (sets.len() - usize::from(last_is_empty)) * PER_SET
}

/// As [`least`], of a request by itself.
fn least_of_normalize(request: &pb::NormalizeRequest) -> usize {
    let pb::NormalizeRequest { axes, statistics, weight, bias, running_mean, running_var, input, .. } = request;
    let tensors = [weight, bias, running_mean, running_var, input];
    tensors.into_iter().flatten().map(least).sum::<usize>()
        + axes.len() * PER_NUMBER
        + statistics.as_ref().map_or(0, least_of_statistics)
}

/// As [`least`], of a request by itself.
fn least_of_backward(request: &pb::NormalizeBackwardRequest) -> usize {
    let pb::NormalizeBackwardRequest {
        axes,
        statistics,
        weight,
        bias,
        running_mean,
        running_var,
        input,
        grad_output,
        ..
    } = request;
    let tensors = [weight, bias, running_mean, running_var, input, grad_output];
    tensors.into_iter().flatten().map(least).sum::<usize>()
        + axes.len() * PER_NUMBER
        + statistics.as_ref().map_or(0, least_of_statistics)
}

/// As [`least`], of a header, with what lies in it.
fn least_of_header<M: Default + PartialEq>(header: &M, within: usize) -> usize {
    // prost makes the header before it checks the wire type of its field, so it may be there without being counted.
    if *header == M::default() { 0 } else { PER_MESSAGE + within }
}

const ONE_NUMBER: usize = 4 * PER_FLOAT_BYTE;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// The target of a merge keeps all that prost has decoded before an error. If a list ends within a number, prost
    /// reads that number to its end, beyond the announced length: so many bytes may be missing from the count, once.
    #[test]
    fn nothing_that_prost_makes_is_left_out(bytes in nearly_requests(), cut in 1..9_usize) {
        let mut clip = pb::ClipGradientsRequest::default();
        let _ = clip.merge(&bytes[..]);
        let made: usize = clip.gradients.iter().map(least).sum();
        prop_assert!(counted_of(Method::ClipGradients, &bytes, cut) + ONE_NUMBER >= made, "{clip:?}");

        let mut measure = pb::MeasureGradientsRequest::default();
        let _ = measure.merge(&bytes[..]);
        let made = measure.gradients.iter().map(least).sum::<usize>() + measure.partials.len() * PER_MESSAGE;
        prop_assert!(counted_of(Method::MeasureGradients, &bytes, cut) + ONE_NUMBER >= made, "{measure:?}");

        let mut backward = pb::NormalizeBackwardRequest::default();
        let _ = backward.merge(&bytes[..]);
        let made = least_of_backward(&backward);
        prop_assert!(counted_of(Method::NormalizeBackward, &bytes, cut) + ONE_NUMBER >= made, "{backward:?}");
    }

    /// The same for messages that are nested deeper.
    #[test]
    fn nothing_that_lies_deep_is_left_out(bytes in nearly_requests(), field in 1..3_u8, off in -3..4_i64, cut in 1..9_usize) {
        let length = (bytes.len() as u64).saturating_add_signed(off);
        let bytes = [vec![field << 3 | 2], varint(length), bytes].concat();
        let mut streamed = pb::MeasureStatisticsRequest::default();
        let _ = streamed.merge(&bytes[..]);
        let mut made = streamed.partials.iter().map(least_of_statistics).sum::<usize>();
        made += match &streamed.part {
            Some(pb::measure_statistics_request::Part::Header(header)) => {
                least_of_header(header, least_of_normalize(header))
            }
            Some(pb::measure_statistics_request::Part::BackwardHeader(header)) => {
                least_of_header(header, least_of_backward(header))
            }
            None => 0,
        };
        prop_assert!(counted_of(Method::MeasureStatistics, &bytes, cut) + ONE_NUMBER >= made, "{streamed:?}");

        let mut streamed = pb::NormalizeStreamRequest::default();
        let _ = streamed.merge(&bytes[..]);
        let made = match &streamed.part {
            Some(pb::normalize_stream_request::Part::Header(header)) => {
                least_of_header(header, least_of_normalize(header))
            }
            Some(pb::normalize_stream_request::Part::Data(_)) | None => 0,
        };
        prop_assert!(counted_of(Method::NormalizeStream, &bytes, cut) + ONE_NUMBER >= made, "{streamed:?}");

        let mut streamed = pb::DropoutStreamRequest::default();
        let _ = streamed.merge(&bytes[..]);
        let made = match &streamed.part {
            Some(pb::dropout_stream_request::Part::Header(header)) => {
                least_of_header(header, header.input.as_ref().map_or(0, least))
            }
            Some(pb::dropout_stream_request::Part::BackwardHeader(header)) => {
                least_of_header(header, header.grad_output.as_ref().map_or(0, least))
            }
            Some(pb::dropout_stream_request::Part::Data(_)) | None => 0,
        };
        prop_assert!(counted_of(Method::DropoutStream, &bytes, cut) + ONE_NUMBER >= made, "{streamed:?}");

        let mut streamed = pb::ClipGradientsStreamRequest::default();
        let _ = streamed.merge(&bytes[..]);
        let made = match &streamed.part {
            Some(pb::clip_gradients_stream_request::Part::Header(header)) => {
                least_of_header(header, header.gradients.iter().map(least).sum())
            }
            Some(pb::clip_gradients_stream_request::Part::Tensor(tensor)) => least(tensor),
            Some(pb::clip_gradients_stream_request::Part::Data(_)) | None => 0,
        };
        prop_assert!(counted_of(Method::ClipGradientsStream, &bytes, cut) + ONE_NUMBER >= made, "{streamed:?}");
    }
}
