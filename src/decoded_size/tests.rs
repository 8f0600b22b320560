//! The counts of messages, which are never below the memory that prost takes for the same bytes.

mod random;

use evenkeel_proto::v1 as pb;
use prost::Message as _;

use super::{shape::PER_MESSAGE, *};

fn counted_of(method: Method, message: &[u8], cut: usize) -> usize {
    let mut parts = DecodedSize::of(method);
    message.chunks(cut).for_each(|bytes| parts.read(bytes));
    parts.counted
}

fn counted(message: &[u8], cut: usize) -> usize {
    counted_of(Method::NormalizeBackward, message, cut)
}

fn tensor(elements: usize) -> pb::Tensor {
    let data = vec![0x7A; 4 * elements].into();
    pb::Tensor { name: "weight".to_owned(), dtype: 1, shape: vec![elements as i64, 1], data, ..Default::default() }
}

#[test]
fn tensors_and_lists_are_counted_and_what_they_hold_is_not() {
    let shape_and_name = 3 * PER_NUMBER + "weight".len();
    let gradients = vec![tensor(1000), pb::Tensor::default(), tensor(1000)];
    let clip = pb::ClipGradientsRequest { mode: 1, threshold: Some(1.0), gradients, ..Default::default() };
    let typed = pb::Tensor { float_data: vec![1.0; 10], shape: vec![10], ..Default::default() };
    let (weight, input) = (Some(tensor(1000)), Some(typed));
    let normalize = pb::NormalizeRequest { axes: vec![1, 2], eps: Some(1.0), weight, input, ..Default::default() };
    for (message, expected) in [
        (clip.encode_to_vec(), 3 * PER_MESSAGE + 2 * shape_and_name),
        (
            normalize.encode_to_vec(),
            2 * PER_NUMBER + 2 * PER_MESSAGE + shape_and_name + PER_NUMBER + 40 * PER_FLOAT_BYTE,
        ),
        // A dimension and an axis that are not packed.
        (b"\x10\x05\x7A\x02\x18\x05\x10\x05".to_vec(), 3 * PER_NUMBER + PER_MESSAGE),
        (b"\x7A\x00".repeat(1000), 1000 * PER_MESSAGE),
    ] {
        for cut in [1, 2, 3, 7, 1000, message.len()] {
            assert_eq!(counted(&message, cut), expected, "{cut} of {}", message.len());
        }
    }
}

/// Sets in statistics by themselves, in a request, and in the header of a stream, where they are nested deepest.
#[test]
fn sets_count_wherever_they_are() {
    let sets = vec![pb::SetStatistics::default(); 300];
    let statistics = pb::StatisticsPartial { kind: 1, shape: vec![300], sets };
    let request = pb::NormalizeRequest {
        axes: vec![0],
        statistics: Some(statistics.clone()),
        input: Some(tensor(3)),
        ..Default::default()
    };
    let of_statistics = PER_MESSAGE + 2 * PER_NUMBER + 300 * PER_SET; // 300 is two bytes
    let of_request = PER_NUMBER + of_statistics + PER_MESSAGE + 2 * PER_NUMBER + "weight".len();
    let streamed = pb::MeasureStatisticsRequest {
        part: Some(pb::measure_statistics_request::Part::Header(request.clone())),
        partials: vec![statistics; 2],
        data: vec![0x7A; 1000].into(),
        ..Default::default()
    };
    let of_stream = PER_MESSAGE + of_request + 2 * of_statistics;
    for (method, message, expected) in [
        (Method::Normalize, request.encode_to_vec(), of_request),
        (Method::NormalizeBackward, request.encode_to_vec(), of_request),
        (Method::MeasureStatistics, streamed.encode_to_vec(), of_stream),
    ] {
        for cut in [1, 2, 3, 7, 1000, message.len()] {
            assert_eq!(counted_of(method, &message, cut), expected, "{method:?} {cut}");
        }
    }
}

/// A list of numbers counts the same however it comes: as one, number by number, or both.
#[test]
fn numbers_that_are_not_packed_are_counted_as_those_that_are() {
    let floats = vec![1.5; 50_000];
    let packed = pb::Tensor { float_data: floats.clone(), ..Default::default() }.encode_to_vec();
    let packed = [&[0x7A][..], &prefixed(&packed)].concat();
    let unpacked: Vec<u8> = floats.iter().flat_map(|x| [&[0x75][..], &f32::to_le_bytes(*x)].concat()).collect();
    let mixed = [&packed[4..], &unpacked[..]].concat();
    let unpacked = [&[0x7A][..], &prefixed(&unpacked)].concat();
    let mixed = [&[0x7A][..], &prefixed(&mixed)].concat();
    let expected = PER_MESSAGE + 200_000 * PER_FLOAT_BYTE;
    for cut in [1, 3, 5, 4096, usize::MAX] {
        assert_eq!(counted(&packed, cut), expected, "{cut}");
        assert_eq!(counted(&unpacked, cut), expected, "{cut}");
        assert_eq!(counted(&mixed, cut), expected + 200_000 * PER_FLOAT_BYTE, "{cut}");
    }
}

/// A byte of 0x80 and above does not end a number, and a number has up to ten bytes, as a negative axis has.
#[test]
fn numbers_of_any_length_are_read_to_their_end() {
    let named = pb::Tensor { name: "x".repeat(128), ..Default::default() };
    let last_axis = [&[0x10][..], &[0xFF; 9], &[0x01]].concat();
    for (message, expected) in [
        (pb::NormalizeRequest { input: Some(named), ..Default::default() }.encode_to_vec(), PER_MESSAGE + 128),
        ([&last_axis[..], b"\x7A\x00"].concat(), PER_NUMBER + PER_MESSAGE),
    ] {
        pb::NormalizeBackwardRequest::decode(&message[..]).expect("prost reads it");
        for cut in [1, 3, message.len()] {
            assert_eq!(counted(&message, cut), expected, "{cut} of {message:x?}");
        }
    }
}

#[test]
fn a_message_takes_long_if_its_parts_do() {
    let bytes = 2_000 * PER_MESSAGE;
    let takes_long = |message: &[u8]| takes_long(Method::ClipGradients, message, bytes);
    let tensors = b"\x7A\x00".repeat(FREE / PER_MESSAGE + 2_000);
    assert!(!takes_long(&tensors));
    assert!(takes_long(&[&tensors[..], b"\x7A\x00"].concat()));
    // Nearly all bytes of this message are elements, which take no further memory.
    let one = pb::ClipGradientsRequest { gradients: vec![tensor(20_000)], ..Default::default() };
    assert!(!takes_long(&one.encode_to_vec()));
}

/// A field's bytes, after their length.
fn prefixed(bytes: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    prost::encoding::encode_varint(bytes.len() as u64, &mut field);
    field.extend_from_slice(bytes);
    field
}

#[test]
fn what_prost_gives_up_at_is_followed_no_further() {
    for bad in [
        &b"\x0E"[..],
        b"\x00\x00",
        b"\x24",
        &[0xFF; 11],
        &[[0x4B; 101], [0x4C; 101]].concat(),
        b"\xFA\xFF\xFF\xFF\x7F",
        b"\xF8\xFF\xFF\xFF\x7F\x01",
        b"\x7A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
    ] {
        let message = [bad, &b"\x7A\x00".repeat(1000)].concat();
        pb::ClipGradientsRequest::decode(&message[..]).expect_err("prost gives up");
        assert!(counted_of(Method::ClipGradients, &message, 1) <= PER_MESSAGE, "{bad:x?}");
    }
}

/// A client cannot take room from others by announcing a long list.
#[test]
fn what_is_announced_and_does_not_come_costs_nothing() {
    // A shape, axes and numbers of 2^28 bytes each, of which three come.
    for list in
        [&b"\x7A\x20\x1A\x80\x80\x80\x80\x01"[..], b"\x12\x80\x80\x80\x80\x01", b"\x7A\x20\x72\x80\x80\x80\x80\x01"]
    {
        let counted = counted(&[list, b"\x01\x02\x03"].concat(), 2);
        assert!(counted <= PER_MESSAGE + 3 * PER_NUMBER, "{counted}");
    }
}

/// Fields that take no memory still take time: unknown ones, groups, and numbers and texts that are repeated.
#[test]
fn many_fields_are_much_whatever_they_are() {
    // Fields count in nested messages, too: here in the statistics of a header.
    let nested = &b"\x0A\xFF\xFF\x03\x4A\xFF\xFF\x03"[..];
    let beginnings = |method| if method == Method::MeasureStatistics { vec![&b""[..], nested] } else { vec![&b""[..]] };
    let fields = [
        &b"\xF8\x07\x01"[..],
        b"\x48\x01",
        b"\x4A\x00",
        b"\x4B\x4C",
        b"\x08\x03",
        b"\x12\x00",
        b"\x75\x00\x00\x00\x00",
        b"\x79\x00\x00\x00\x00\x00\x00\x00\x00",
    ];
    for method in Method::ALL {
        for (beginning, field) in
            beginnings(method).into_iter().flat_map(|beginning| fields.iter().map(move |&it| (beginning, it)))
        {
            let message = |count: usize| [beginning, &field.repeat(count)].concat();
            assert!(takes_long(method, &message(FEW_FIELDS + 1), usize::MAX), "{method:?} {field:x?}");
            assert!(!takes_long(method, &message(FEW_FIELDS / 2 - 2), usize::MAX), "{method:?} {field:x?}");
        }
        // A long text or tensor is one field.
        let long = [&[0x7A][..], &prefixed(&[&[0x7A][..], &prefixed(&vec![0x7A; 1 << 20])].concat())].concat();
        assert!(!takes_long(method, &long, usize::MAX), "{method:?}");
    }
}

/// The fields of partials and of the statistics of sets are not followed, so each of their bytes counts as one.
#[test]
fn partials_of_very_many_fields_take_long() {
    for (method, wrap) in [
        (Method::MeasureGradients, &[0x72][..]),
        (Method::MeasureStatistics, &[0x6A, 0x7A]),
        (Method::NormalizeStream, &[0x0A, 0x4A, 0x7A]),
    ] {
        for field in [&b"\x7A\x00"[..], b"\x0B\x0C"] {
            let message = |bytes: usize| {
                let fields = field.repeat(bytes / field.len());
                wrap.iter().rev().fold(fields, |within, &key| [&[key][..], &prefixed(&within)].concat())
            };
            assert!(takes_long(method, &message(FEW_FIELDS), usize::MAX), "{method:?}");
            assert!(!takes_long(method, &message(FEW_FIELDS - 8), usize::MAX), "{method:?}");
        }
    }
}

#[test]
fn what_every_call_may_have_costs_nothing() {
    let mut parts = DecodedSize::of(Method::ClipGradients);
    parts.read(&b"\x7A\x00".repeat(FREE / PER_MESSAGE));
    assert_eq!(parts.bytes(), 0);
    parts.read(b"\x7A\x00");
    assert_eq!(parts.bytes(), PER_MESSAGE);
}

/// An unknown field is skipped, whatever its content: the fields after it count as if it was not there.
#[test]
fn what_is_unknown_hides_nothing() {
    let tensors = b"\x7A\x00".repeat(1000);
    for unknown in [
        // Field 16 with different contents: no protobuf, a text, a field that reaches beyond its end, and nothing.
        &b"\x82\x01\x01\x0E"[..],
        b"\x82\x01\x09optimizer",
        b"\x82\x01\x02\x72\x7F",
        b"\x82\x01\x00",
        // Field 14, which clipping does not have.
        b"\x72\x01\x0E",
        b"\x75\x7A\x00\x7A\x00",
        // A group with tensors and another group in it, and one of field 16.
        b"\x4B\x7A\x00\x7A\x01\x0E\x2B\x7A\x00\x2C\x4C",
        b"\x83\x01\x72\x03\xFF\xFF\xFF\x84\x01",
        // As many groups in groups as prost follows.
        &[[0x4B; 100], [0x4C; 100]].concat(),
    ] {
        for message in [[unknown, &tensors].concat(), [&tensors[..1000], unknown, &tensors[1000..]].concat()] {
            let decoded = pb::ClipGradientsRequest::decode(&message[..]).expect("prost skips it");
            assert_eq!(decoded.gradients.len(), 1000, "{unknown:x?}");
            for cut in [1, 2, 5, message.len()] {
                let counted = counted_of(Method::ClipGradients, &message, cut);
                assert_eq!(counted, 1000 * PER_MESSAGE, "{unknown:x?}");
            }
        }
        // Within a tensor, too.
        let tensor = [unknown, &b"\x18\x05".repeat(100)].concat();
        if pb::Tensor::decode(&tensor[..]).is_ok_and(|tensor| tensor.float_data.is_empty()) {
            let message = [&[0x7A][..], &prefixed(&tensor)].concat();
            assert_eq!(counted(&message, 3), PER_MESSAGE + 100 * PER_NUMBER, "{unknown:x?}");
        }
    }
}

/// prost reads a list that reaches beyond its tensor to its end, and only then complains.
#[test]
fn a_list_beyond_the_end_of_its_tensor_is_counted() {
    for (begin, times) in [
        (&b"\x7A\x02\x72\xFF\x7F"[..], PER_FLOAT_BYTE),
        (b"\x7A\x01\x72\xFF\x7F", PER_FLOAT_BYTE),
        // The key itself reaches beyond the end.
        (b"\x7A\x01\xF2\x00\xFF\x7F", PER_FLOAT_BYTE),
        (b"\x7A\x01\x9A\x00\xFF\x7F", PER_NUMBER),
    ] {
        let message = [begin, &[0; 0x3FFF]].concat();
        for cut in [1, 3, message.len()] {
            assert!(counted(&message, cut) >= 0x3FFF * times, "{begin:x?}");
        }
    }
}
