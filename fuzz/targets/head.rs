//! Any bytes as the beginning of a message: the handwritten decoder of all fields before a tensor's bytes agrees with prost's
//! decoding of the whole message.

#![no_main]

use bytes::Bytes;
use evenkeel::normalize_head;
use evenkeel_proto::v1 as pb;
use libfuzzer_sys::fuzz_target;
use prost::Message;

/// The value of the bytes that have not come.
const FILL: u8 = 7;

fuzz_target!(|data: &[u8]| {
    // How many bytes are still to come, and those that are here.
    let Some((missing, bytes)) = data.split_first_chunk::<2>() else { return };
    let bytes = Bytes::copy_from_slice(bytes);
    for missing in [0, usize::from(u16::from_le_bytes(*missing))] {
        let message_len = bytes.len() + missing;
        match normalize_head(&bytes, message_len) {
            Some((request, len, data_len)) => {
                assert_eq!(len + data_len, message_len);
                is_what_prost_reads(&bytes[..len], message_len, request);
                // The head is found when its last byte has come, and not before.
                assert!(normalize_head(&bytes.slice(..len), message_len).is_some(), "{len} of {message_len} bytes");
                assert!(normalize_head(&bytes.slice(..len - 1), message_len).is_none(), "{len} of {message_len} bytes");
            }
            None => assert!(missing > 0 || !is_usual(&bytes), "not found in {bytes:?}"),
        }
    }
});

/// Compares with the whole message as bytes, since there may be NaNs.
fn is_what_prost_reads(head: &[u8], message_len: usize, mut request: pb::NormalizeRequest) {
    let mut message = head.to_vec();
    message.resize(message_len, FILL);
    let whole = pb::NormalizeRequest::decode(&message[..]).expect("what has a head is a message");
    let input = request.input.as_mut().expect("a head has an input");
    input.data = vec![FILL; message_len - head.len()].into();
    assert_eq!(request.encode_to_vec(), whole.encode_to_vec(), "{request:?} and {whole:?}");
}

/// Whether these bytes are a message as programs write it, with elements as bytes: its head is always found.
fn is_usual(bytes: &[u8]) -> bool {
    pb::NormalizeRequest::decode(bytes).is_ok_and(|request| {
        let has_data =
            request.input.as_ref().is_some_and(|input| !input.data.is_empty() && input.float_data.is_empty());
        has_data && request.encode_to_vec() == bytes
    })
}
