mod any;

use std::sync::Arc;

use evenkeel_kernels::{Cancelled, Checkpoint, Uninterrupted};
use evenkeel_proto::v1 as pb;
use prost::Message;
use tonic::Code;
use tonic_types::pb as rpc;

use super::*;
use crate::{
    budget::{Budget, Reservation},
    counters::Counters,
    error::Error,
};

const LIMIT: usize = 1 << 20;

fn schemas() -> Schemas {
    Schemas::new(&[evenkeel_proto::FILE_DESCRIPTOR_SET, rpc::FILE_DESCRIPTOR_SET]).expect("they are descriptors")
}

/// The message of this type that a text becomes, within a budget of so many bytes.
fn within(bytes: usize, name: &str, text: &[u8]) -> Result<Vec<u8>, Error> {
    let message = schemas().message(&format!("evenkeel.v1.{name}")).expect("there is one");
    let counters = Arc::<Counters>::default();
    let reservation = Reservation::new(&counters, Budget::new(bytes, 0));
    let mut out = Growing::new(&reservation);
    let result = read(text, &message, &mut out, LIMIT, &reservation, &Uninterrupted);
    let message = out.as_ref().to_vec();
    drop(out);
    assert_eq!(reservation.bytes(), 0, "all memory came back");
    result.map(|()| message)
}

fn message(name: &str, text: &str) -> Result<Vec<u8>, Error> {
    within(1 << 30, name, text.as_bytes())
}

fn decoded<M: Message + Default>(name: &str, text: &str) -> M {
    let bytes = message(name, text).unwrap_or_else(|error| panic!("{text}: {error}"));
    M::decode(&bytes[..]).expect("it is a message")
}

fn text_of(name: &str, message: &[u8]) -> String {
    let descriptor = schemas().message(name).expect("there is one");
    let mut out = Growing::uncounted();
    write(message, &descriptor, &mut out, &Uninterrupted).expect("it is a message");
    String::from_utf8(out.as_ref().to_vec()).expect("JSON is UTF-8")
}

/// A whole number is exact however it is written: float64 has neither the largest nor all of those between.
#[test]
fn whole_numbers_are_exact_in_every_form() {
    for (text, seed) in [
        ("9007199254740993.0", 9_007_199_254_740_993),
        ("900719925474099300e-2", 9_007_199_254_740_993),
        ("9.007199254740993E+15", 9_007_199_254_740_993),
        ("18446744073709551615.000", u64::MAX),
        ("1844674407370955161.5e1", u64::MAX),
        ("\"1.8446744073709551615e19\"", u64::MAX),
        ("0.00018446744073709551615e23", u64::MAX),
        ("0.0e99999", 0),
        ("-0.0", 0),
        ("100e-2", 1),
        (&format!("{}e-1000", "1".to_owned() + &"0".repeat(1000)), 1),
        (&format!("0.{}1e1001", "0".repeat(1000)), 1),
    ] {
        let request: pb::DropoutRequest = decoded("DropoutRequest", &format!("{{\"seed\":{text}}}"));
        assert_eq!(request.seed, seed, "{text}");
    }
    let request: pb::DropoutRequest = decoded("DropoutRequest", r#"{"channelAxis":-21474836.48e2}"#);
    assert_eq!(request.channel_axis, Some(i32::MIN));
}

/// Every form that protobuf's mapping lets a writer choose.
#[test]
fn a_text_is_read_as_the_mapping_has_it() {
    let request: pb::DropoutRequest = decoded(
        "DropoutRequest",
        r#" {"p": "0.25", "seed": "18446744073709551615", "offset": 3.0, "kind": "DROPOUT_KIND_CHANNEL", "scaling": 2,
            "return_mask": true, "channelAxis": -1,
            "input": {"name": "a\"b\u00e9\/", "dtype": null, "shape": ["1", 2e0, 3], "float_data": [], "data": "_-8"}} "#,
    );
    let input = pb::Tensor {
        name: "a\"bé/".to_owned(),
        shape: vec![1, 2, 3],
        data: vec![0xFF, 0xEF].into(),
        ..pb::Tensor::default()
    };
    let expected = pb::DropoutRequest {
        p: Some(0.25),
        seed: u64::MAX,
        offset: 3,
        kind: pb::DropoutKind::Channel.into(),
        scaling: pb::DropoutScaling::None.into(),
        return_mask: true,
        channel_axis: Some(-1),
        input: Some(input),
    };
    assert_eq!(request, expected);
    for (base64, bytes) in [("", &b""[..]), ("+/8=", &[0xFB, 0xFF]), ("AA==", &[0]), ("AA", &[0]), ("AAEC", &[0, 1, 2])]
    {
        let tensor: pb::Tensor = decoded("Tensor", &format!(r#"{{"data":"{base64}"}}"#));
        assert_eq!(tensor.data, bytes, "{base64}");
    }
    let clip: pb::ClipGradientsRequest =
        decoded("ClipGradientsRequest", r#"{"gradients":[{},{"shape":[]},{"name":"x"}]}"#);
    assert_eq!(clip.gradients.iter().map(|tensor| &*tensor.name).collect::<Vec<_>>(), ["", "", "x"]);
    let stream: pb::DropoutStreamRequest = decoded("DropoutStreamRequest", r#"{"header":null,"data":"AAAA"}"#);
    assert_eq!(stream.part, Some(pb::dropout_stream_request::Part::Data(vec![0; 3].into())));
}

/// Numbers have the bits of their text, and texts those of their numbers.
#[test]
fn numbers_keep_their_bits() {
    // Above the middle of two float32 by less than a float64 can tell: rounded twice it would be the upper one.
    let tensor: pb::Tensor = decoded("Tensor", r#"{"floatData":[1.00000017881393432617187499, "1e-50", -0]}"#);
    assert_eq!(
        tensor.float_data.iter().map(|value| value.to_bits()).collect::<Vec<_>>(),
        [0x3F80_0001, 0, 0x8000_0000]
    );
    let mut values = vec![f32::MAX, f32::MIN, f32::MIN_POSITIVE, f32::from_bits(1), -0.0, 0.1, 16_777_217.0];
    values.extend((0..2000u32).map(|i| f32::from_bits(i.wrapping_mul(2_654_435_761))));
    let values: Vec<f32> = values.into_iter().filter(|value| value.is_finite()).collect();
    let sent = pb::Tensor { float_data: values.clone(), ..pb::Tensor::default() };
    let back: pb::Tensor = decoded("Tensor", &text_of("evenkeel.v1.Tensor", &sent.encode_to_vec()));
    assert!(back.float_data.iter().map(|value| value.to_bits()).eq(values.iter().map(|value| value.to_bits())));
    for value in [f64::MAX, f64::from_bits(1), -0.0, 1.0 / 3.0, 2.0_f64.powi(-1074) * 12_345.0] {
        let sent = pb::ClipGradientsRequest { threshold: Some(value), ..Default::default() };
        let text = text_of("evenkeel.v1.ClipGradientsRequest", &sent.encode_to_vec());
        let back: pb::ClipGradientsRequest = decoded("ClipGradientsRequest", &text);
        assert_eq!(back.threshold.map(f64::to_bits), Some(value.to_bits()), "{text}");
    }
    for (text, special) in [("NaN", f64::NAN), ("Infinity", f64::INFINITY), ("-Infinity", f64::NEG_INFINITY)] {
        let text = format!(r#"{{"threshold":"{text}"}}"#);
        let read: pb::ClipGradientsRequest = decoded("ClipGradientsRequest", &text);
        assert_eq!(read.threshold.map(f64::to_bits), Some(special.to_bits()));
        assert_eq!(text_of("evenkeel.v1.ClipGradientsRequest", &read.encode_to_vec()), text);
    }
}

/// A text that is not the message is refused, by the name of the field, without its content, and with no memory.
#[test]
fn hostile_texts_are_refused() {
    let deep = |open: &str| format!(r#"{{"input":{}"#, open.repeat(100_000));
    let long = format!(r#"{{"{}":1}}"#, "x".repeat(100_000));
    for (text, field, reason) in [
        ("", "", "no JSON"),
        ("   ", "", "no JSON"),
        ("null", "", "another type"),
        ("[]", "", "another type"),
        ("\"secret\"", "", "expected an object"),
        ("{", "", "no JSON"),
        ("{}{}", "", "trailing"),
        ("{'kind':1}", "", "no JSON"),
        (r#"{"kind":1,}"#, "", "no JSON"),
        (r#"{"thresold":1}"#, "thresold", "NormalizeRequest has no such field"),
        (r#"{"input":{"shap":[1]}}"#, "input.shap", "Tensor has no such field"),
        (&long, "", "no such field"),
        ("{\"a\\u0000b\":1}", "", "no such field"),
        (r#"{"kind":1,"kind":1}"#, "kind", "a second time"),
        (r#"{"return_statistics":true,"returnStatistics":true}"#, "return_statistics", "a second time"),
        (r#"{"kind":"NORM_KIND_SECRET"}"#, "kind", "NormKind has no value"),
        (r#"{"kind":3000000000}"#, "kind", "range"),
        (r#"{"groups":-1}"#, "groups", "range"),
        (r#"{"groups":1.5}"#, "groups", "whole number"),
        (r#"{"groups":1.00000000000000000001}"#, "groups", "whole number"),
        (r#"{"groups":12e-1}"#, "groups", "whole number"),
        (r#"{"groups":"-"}"#, "groups", "whole number"),
        (r#"{"groups":"1-1"}"#, "groups", "whole number"),
        (r#"{"groups":"1e5e5"}"#, "groups", "whole number"),
        (r#"{"groups":4294967296.0}"#, "groups", "beyond the range"),
        (r#"{"groups":1e-99999999999999999999}"#, "groups", "whole number"),
        (r#"{"groups":1e300}"#, "groups", "whole number"),
        (r#"{"groups":true}"#, "groups", "whole number"),
        (r#"{"groups":[[[1]]]}"#, "groups", "whole number"),
        (r#"{"eps":1e400}"#, "eps", "float64"),
        (r#"{"eps":"1e400"}"#, "eps", "float64"),
        (r#"{"eps":"nan"}"#, "eps", "expected a number"),
        (r#"{"eps":"inf"}"#, "eps", "expected a number"),
        (r#"{"eps":NaN}"#, "eps", "no JSON"),
        (r#"{"eps":01}"#, "eps", "no JSON"),
        (r#"{"eps":"secret"}"#, "eps", "expected a number"),
        (r#"{"training":"true"}"#, "training", "true or false"),
        (r#"{"axes":1}"#, "axes", "another type"),
        (r#"{"axes":"secret"}"#, "axes", "expected a list"),
        (r#"{"axes":{}}"#, "axes", "expected a list"),
        (r#"{"axes":[1,null]}"#, "axes[1]", "whole number"),
        (r#"{"input":"secret"}"#, "input", "expected an object"),
        (r#"{"input":[]}"#, "input", "expected an object"),
        (r#"{"input":{"floatData":[1,2,1e39]}}"#, "input.float_data[2]", "float32"),
        (r#"{"input":{"floatData":[1,"secret"]}}"#, "input.float_data[1]", "expected a number"),
        (r#"{"input":{"data":"secret!"}}"#, "input.data", "base64"),
        (r#"{"input":{"data":"A"}}"#, "input.data", "base64"),
        (r#"{"input":{"data":"A=A="}}"#, "input.data", "base64"),
        (r#"{"input":{"data":[1]}}"#, "input.data", "expected a text"),
        (r#"{"input":{"name":"\ud800"}}"#, "input.name", "escape"),
        (&deep("["), "input", ""),
        (&deep(r#"{"input":"#), "input.input", "no such field"),
        (&format!(r#"{{"eps":{}"#, "[".repeat(100_000)), "eps", "no JSON"),
    ] {
        let shown = &text[..text.len().min(60)];
        let error = message("NormalizeRequest", text).expect_err(shown);
        assert_eq!(error.code(), Code::InvalidArgument, "{shown}: {error}");
        let words = error.to_string();
        assert!(words.contains(reason) && !words.contains("secret") && words.len() < 400, "{shown}: {words}");
        if let Error::Invalid(violations) = &error {
            let found: Vec<_> = violations.iter().map(|violation| violation.field.to_string()).collect();
            assert!(field.is_empty() || found == [field], "{shown}: {found:?}");
        } else {
            assert_eq!(field, "", "{shown}: {words}");
        }
    }
    let both = message("DropoutStreamRequest", r#"{"data":"AA","header":{}}"#).expect_err("there may be one part");
    assert!(both.to_string().contains("header: is sent beside data"), "{both}");
    for text in [&b"{\"input\":{\"name\":\"\xFF\"}}"[..], b"{\"\xFF\":1}", b"\xEF\xBB\xBF{}", b"\0"] {
        let error = within(1 << 20, "NormalizeRequest", text).expect_err("it is not UTF-8, or no JSON");
        assert_eq!(error.code(), Code::InvalidArgument, "{text:?}");
    }
}

/// The memory for a text is that of its message, and of what the parser keeps: it is refused where the budget has less.
#[test]
fn memory_is_bounded_by_the_budget() {
    let numbers = format!(r#"{{"floatData":[{}1]}}"#, "1,".repeat(99_999));
    assert_eq!(decoded::<pb::Tensor>("Tensor", &numbers).float_data.len(), 100_000);
    assert!(within(1 << 20, "Tensor", numbers.as_bytes()).is_ok(), "it is twice the message and what it moves from");
    let levels = format!(r#"{{"gradients":[{}{{}}]}}"#, "{},".repeat(99_999));
    let escapes = format!(r#"{{"name":"{}"}}"#, r"\u00e9".repeat(50_000));
    for (name, text) in [("Tensor", &numbers), ("ClipGradientsRequest", &levels), ("Tensor", &escapes)] {
        let refused = within(300_000, name, text.as_bytes()).expect_err("it is too much");
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    }
    // The message may be longer than the limit for messages, whose text is not.
    let long = format!(r#"{{"axes":[{}1]}}"#, "-1,".repeat(LIMIT / 9));
    let refused = message("NormalizeRequest", &long).expect_err("each number has ten bytes");
    assert_eq!(refused, Error::RequestTooLarge { limit: LIMIT });
}

/// A long conversion ends when nobody wants its result any more.
#[test]
fn a_conversion_can_be_stopped() {
    struct Stopped;

    impl Checkpoint for Stopped {
        fn check(&self) -> Result<(), Cancelled> {
            Err(Cancelled)
        }
    }

    let schemas = schemas();
    let tensor = schemas.message("evenkeel.v1.Tensor").expect("there is one");
    let reservation = Reservation::new(&Arc::default(), Budget::new(1 << 30, 0));
    let numbers = format!(r#"{{"floatData":[{}1]}}"#, "1,".repeat(99_999));
    let mut out = Growing::new(&reservation);
    let stopped = read(numbers.as_bytes(), &tensor, &mut out, LIMIT, &reservation, &Stopped);
    assert_eq!(stopped, Err(Error::Cancelled));
    assert!(out.len() < 100_000, "{}", out.len());
    let sent = pb::Tensor { float_data: vec![1.0; 100_000], ..pb::Tensor::default() }.encode_to_vec();
    let mut text = Growing::uncounted();
    assert_eq!(write(&sent, &tensor, &mut text, &Stopped), Err(Error::Cancelled));
    assert!(text.len() < 100_000, "{}", text.len());
}

#[test]
fn messages_are_written_as_the_mapping_has_them() {
    let mean =
        pb::Tensor { dtype: pb::DataType::Float32.into(), shape: vec![1], float_data: vec![2.5], ..Default::default() };
    let output =
        pb::Tensor { name: "a\"\n".to_owned(), shape: vec![2, -1], data: vec![1, 2].into(), ..Default::default() };
    let response =
        pb::NormalizeResponse { axes: vec![0, -1], mean: Some(mean), output: Some(output), ..Default::default() };
    assert_eq!(
        text_of("evenkeel.v1.NormalizeResponse", &response.encode_to_vec()),
        r#"{"axes":[0,-1],"mean":{"dtype":"DATA_TYPE_FLOAT32","shape":["1"],"floatData":[2.5]},"#.to_owned()
            + r#""output":{"name":"a\"\n","shape":["2","-1"],"data":"AQI="}}"#
    );
    let clipped = pb::ClipGradientsResponse {
        scale: 0.5,
        clipped_elements: u64::MAX,
        gradients: vec![pb::Tensor::default(); 2],
        ..Default::default()
    };
    assert_eq!(
        text_of("evenkeel.v1.ClipGradientsResponse", &clipped.encode_to_vec()),
        r#"{"scale":0.5,"clippedElements":"18446744073709551615","gradients":[{},{}]}"#
    );
    assert_eq!(text_of("evenkeel.v1.GetServerInfoRequest", b""), "{}");
    let metadata = [("limit_bytes".to_owned(), "1".to_owned())].into();
    let info = rpc::ErrorInfo { reason: "R".to_owned(), domain: "evenkeel".to_owned(), metadata };
    assert_eq!(
        text_of("google.rpc.ErrorInfo", &info.encode_to_vec()),
        r#"{"reason":"R","domain":"evenkeel","metadata":{"limit_bytes":"1"}}"#
    );
    // A RetryInfo with a delay of 100 ms.
    let delay = [&[0x0A, 0x05, 0x10][..], &[0x80, 0xC2, 0xD7, 0x2F]].concat();
    assert_eq!(text_of("google.rpc.RetryInfo", &delay), r#"{"retryDelay":"0.100s"}"#);
}

/// The messages of all calls that the reader and the writer do not know are not in any request.
#[test]
fn no_request_has_what_is_not_read() {
    let schemas = Schemas::new(&[
        evenkeel_proto::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ])
    .expect("they are descriptors");
    let mut looked_at = 0;
    for method in evenkeel_proto::Method::ALL.into_iter().filter(|&method| method != evenkeel_proto::Method::Other) {
        let rpc = schemas.rpc(method.path()).unwrap_or_else(|| panic!("{method:?} has no descriptor"));
        assert_eq!(rpc.streams, method.kind() != "unary", "{method:?}");
        let mut open = vec![rpc.request.clone(), rpc.answer.clone()];
        while let Some(message) = open.pop() {
            assert!(!message.full_name().starts_with("google."), "{method:?}");
            looked_at += 1;
            for field in message.fields() {
                assert!(!field.is_map(), "{method:?}: {field:?}");
                open.extend(field.kind().as_message().cloned());
            }
        }
    }
    assert!(looked_at > 50, "{looked_at}");
}
