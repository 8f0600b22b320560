//! Any headers: the server's parser agrees with a plain implementation of their rules.

#![no_main]

use std::str;

use evenkeel::{config::Encoding, server::Metadata};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use libfuzzer_sys::fuzz_target;

/// The headers that the server reads.
const NAMES: [HeaderName; 7] = [
    CONTENT_TYPE,
    HeaderName::from_static("grpc-timeout"),
    AUTHORIZATION,
    HeaderName::from_static("grpc-encoding"),
    HeaderName::from_static("grpc-accept-encoding"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];
/// The largest number of digits of a timeout.
const MOST_DIGITS: usize = 8;

fuzz_target!(|data: &[u8]| {
    // The first line is a method; each line that follows is a header.
    let mut lines = data.split(|&byte| byte == b'\n');
    let Ok(method) = Method::from_bytes(lines.next().unwrap_or_default()) else { return };
    let headers: HeaderMap = lines.filter_map(header).collect();
    let read = Metadata::read(&method, headers.clone());
    let value = |name: &str| headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();

    assert_eq!(read.is_call, method == Method::POST && is_grpc(value("content-type")));
    assert_eq!(read.timeout.map(|timeout| timeout.as_nanos()), nanoseconds(value("grpc-timeout")));
    assert_eq!(read.token.as_deref(), token(value("authorization")));
    assert_eq!(read.encoding.map(name), Some(value("grpc-encoding")).filter(|&name| is_known(name)));
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let named = headers.get_all("grpc-accept-encoding").iter().any(|list| lists(list.as_bytes(), name(encoding)));
        assert_eq!(read.accepted.contains(&encoding), named, "{encoding:?}");
    }
    match (parent(value("traceparent")), &read.parent) {
        (Some(expected), parent) => assert_eq!(parent.as_ref(), Some(&expected)),
        // OpenTelemetry also accepts other versions, and ids without some of their digits.
        (None, Some((trace, span))) => {
            assert!(trace.len() == 32 && span.len() == 16 && !is_zero(trace) && !is_zero(span), "{trace} {span}");
        }
        (None, None) => (),
    }
});

/// A line as a header: one byte chooses the name, the others are the value.
fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let (place, value) = line.split_first()?;
    let name = NAMES[usize::from(place.wrapping_sub(b'0')) % NAMES.len()].clone();
    Some((name, HeaderValue::from_bytes(value).ok()?))
}

fn is_grpc(content_type: &[u8]) -> bool {
    let (name, rest) = content_type.split_at(content_type.len().min("application/grpc".len()));
    let rest = rest.strip_prefix(b"+proto").unwrap_or(rest);
    name == b"application/grpc" && (rest.is_empty() || b"; ".contains(&rest[0]))
}

/// Digits and a unit, as gRPC's protocol over HTTP/2 defines `grpc-timeout`.
fn nanoseconds(timeout: &[u8]) -> Option<u128> {
    let (unit, digits) = timeout.split_last()?;
    let nanoseconds: u128 = match unit {
        b'H' => 3_600_000_000_000,
        b'M' => 60_000_000_000,
        b'S' => 1_000_000_000,
        b'm' => 1_000_000,
        b'u' => 1000,
        b'n' => 1,
        _ => return None,
    };
    if !(1..=MOST_DIGITS).contains(&digits.len()) {
        return None;
    }
    let mut number = 0;
    for digit in digits {
        number = 10 * number + u128::from(char::from(*digit).to_digit(10)?);
    }
    Some(number * nanoseconds)
}

/// The token after the scheme `Bearer`, whose case does not matter, and a space; without the spaces around the token.
fn token(authorization: &[u8]) -> Option<&[u8]> {
    let scheme: Vec<u8> = authorization.iter().take(7).map(u8::to_ascii_lowercase).collect();
    if scheme != b"bearer " {
        return None;
    }
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let begin = authorization.iter().skip(7).take_while(|byte| is_space(byte)).count() + 7;
    let end = authorization.len() - authorization.iter().rev().take_while(|byte| is_space(byte)).count();
    Some(if begin < end { &authorization[begin..end] } else { b"" })
}

fn is_known(encoding: &[u8]) -> bool {
    [b"gzip", b"zstd"].iter().any(|name| *name == encoding)
}

fn name(encoding: Encoding) -> &'static [u8] {
    match encoding {
        Encoding::Gzip => b"gzip",
        Encoding::Zstd => b"zstd",
    }
}

/// Whether a list, with commas and spaces, has a name. A value that is not ASCII is no list.
fn lists(list: &[u8], name: &[u8]) -> bool {
    list.is_ascii() && list.split(|&byte| byte == b',').any(|item| item.trim_ascii() == name)
}

/// The first version of W3C's Trace Context: `00`, a trace, a span and flags, in small hexadecimal digits.
fn parent(traceparent: &[u8]) -> Option<(String, String)> {
    let text = str::from_utf8(traceparent).ok().filter(|text| text.is_ascii())?.trim();
    let is_hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match text.split('-').collect::<Vec<_>>()[..] {
        ["00", trace, span, flags]
            if (trace.len(), span.len(), flags.len()) == (32, 16, 2)
                && [trace, span, flags].into_iter().all(is_hex)
                && !is_zero(trace)
                && !is_zero(span) =>
        {
            Some((trace.to_owned(), span.to_owned()))
        }
        _ => None,
    }
}

fn is_zero(digits: &str) -> bool {
    digits.bytes().all(|digit| digit == b'0')
}
