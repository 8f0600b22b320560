//! Messages that name their type.

use prost_types::Any;

use super::*;

const URL: &str = "type.googleapis.com/google.rpc.ErrorInfo";

fn status(details: Vec<Any>) -> rpc::Status {
    rpc::Status { code: 3, message: "m".to_owned(), details }
}

fn of(url: &str, value: Vec<u8>) -> Any {
    Any { type_url: url.to_owned(), value }
}

fn read_status(text: &str) -> Result<rpc::Status, Error> {
    let message = schemas().message("google.rpc.Status").expect("there is one");
    let reservation = Reservation::new(&Arc::default(), Budget::new(1 << 20, 0));
    let mut out = Growing::new(&reservation);
    read(text.as_bytes(), &message, &mut out, LIMIT, &reservation, &Uninterrupted)?;
    Ok(rpc::Status::decode(out.as_ref()).expect("it is a message"))
}

#[test]
fn a_message_is_written_beside_its_type_and_read_again() {
    let info = rpc::ErrorInfo { reason: "R\"".to_owned(), domain: "d".to_owned(), ..Default::default() };
    let message = status(vec![of(URL, info.encode_to_vec()), of(URL, Vec::new()), Any::default()]);
    let text = text_of("google.rpc.Status", &message.encode_to_vec());
    let expected = format!(
        r#"{{"code":3,"message":"m","details":[{{"@type":"{URL}","reason":"R\"","domain":"d"}},{{"@type":"{URL}"}},{{}}]}}"#
    );
    assert_eq!(text, expected);
    assert_eq!(read_status(&text), Ok(message));
}

/// The mapping has the forms of well-known types under a key of their own.
#[test]
fn a_well_known_type_is_written_as_a_value() {
    let outer = of("type.googleapis.com/google.protobuf.Any", of(URL, Vec::new()).encode_to_vec());
    let delay = of("type.googleapis.com/google.protobuf.Duration", vec![8, 2]);
    let text = text_of(
        "google.rpc.Status",
        &rpc::Status { details: vec![outer, delay], ..Default::default() }.encode_to_vec(),
    );
    let expected = format!(
        r#"{{"details":[{{"@type":"type.googleapis.com/google.protobuf.Any","value":{{"@type":"{URL}"}}}},{{"@type":"{}","value":"2s"}}]}}"#,
        "type.googleapis.com/google.protobuf.Duration"
    );
    assert_eq!(text, expected);
}

#[test]
fn a_type_must_come_first_and_be_known() {
    for (object, words) in [
        (r#"{"reason":"R","@type":"google.rpc.ErrorInfo"}"#, "first key"),
        (r#"{"@type":"x/google.rpc.Nothing"}"#, "google.rpc.Nothing"),
        (r#"{"@type":"x/google.protobuf.Duration","value":"1s"}"#, "google.protobuf.Duration"),
        (r#"{"@type":1}"#, "expected a text"),
        (r#"{"@type":"x/google.rpc.ErrorInfo","other":1}"#, "no such field"),
        (r#"{"@type":"x/google.rpc.ErrorInfo","@type":"x/google.rpc.ErrorInfo"}"#, "no such field"),
    ] {
        let error = read_status(&format!(r#"{{"details":[{object}]}}"#)).expect_err(object);
        assert_eq!(error.code(), Code::InvalidArgument, "{object}");
        assert!(error.to_string().contains("details[0]") && error.to_string().contains(words), "{object}: {error}");
    }
}

/// Such messages are bytes to decoders, which do not bound their depth.
#[test]
fn messages_within_messages_have_a_depth() {
    let within = |depth| {
        (0..depth)
            .fold(of(URL, Vec::new()), |inner, _| of("type.googleapis.com/google.protobuf.Any", inner.encode_to_vec()))
    };
    let descriptor = schemas().message("google.protobuf.Any").expect("there is one");
    for (depth, is_written) in [(15, true), (16, false), (1000, false)] {
        let message = within(depth).encode_to_vec();
        let written = write(&message, &descriptor, &mut Growing::uncounted(), &Uninterrupted);
        assert_eq!(written.is_ok(), is_written, "{depth}");
    }
}
