//! Requests of Connect become requests of gRPC.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use evenkeel_frames::{Announced, PREFIX};
use http_body::{Body as HttpBody, Frame};
use tonic::{
    body::Body,
    codegen::http::{HeaderMap, HeaderValue, Request, header},
};

use super::{Codec, Protocol};
use crate::{
    error::Error,
    grpc::{BoxError, EncodedBy},
    server::protocol::{AsJson, Bare, Refused},
};

/// The header with the version of the protocol.
const VERSION: &str = "connect-protocol-version";
/// The header with the deadline, in milliseconds.
const TIMEOUT: &str = "connect-timeout-ms";
/// A message of at most so many bytes is copied behind its prefix, so that both are one frame: it then takes the shorter routes
/// of messages that came in one.
const SHORT: usize = 16 << 10;

/// The request of gRPC that means the same. A request that no call could mean has a [`Refused`] among its extensions.
pub(super) fn translated<B>(protocol: Protocol, request: Request<B>) -> Request<Body>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin + Send + 'static,
{
    let (mut head, body) = request.into_parts();
    let is_compressed = match translate(protocol, &mut head.headers) {
        Ok(is_compressed) => is_compressed,
        Err(error) => {
            head.extensions.insert(Refused(error));
            false
        }
    };
    if is_compressed {
        let [encoding, _] = protocol.encodings();
        head.extensions.insert(EncodedBy(encoding));
    }
    if protocol.codec == Codec::Json {
        head.extensions.insert(AsJson);
    }
    let len = body.size_hint().exact();
    let body = match len {
        _ if protocol.streams => Body::new(body),
        Some(len) => {
            // A longer message is refused by its prefix.
            let length = u32::try_from(len).unwrap_or(u32::MAX);
            let prefix = Announced { flag: is_compressed.into(), length };
            Body::new(Prefixed { body, prefix: Some(prefix), rest: None })
        }
        None => {
            head.extensions.insert(Bare { is_compressed });
            Body::new(body)
        }
    };
    Request::from_parts(head, body)
}

/// Makes the headers those of gRPC. Returns whether the message of a unary call is compressed.
///
/// # Errors
/// [`Error::Invalid`] for a version or a deadline that there is not.
fn translate(protocol: Protocol, headers: &mut HeaderMap) -> Result<bool, Error> {
    let [encoding, accepted] = protocol.encodings();
    // What these would mean in gRPC, they do not mean in Connect.
    for name in ["grpc-encoding", "grpc-accept-encoding", "grpc-timeout", "content-length"] {
        headers.remove(name);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let encoding = headers.remove(encoding).filter(|name| name != "identity" && !name.is_empty());
    let is_compressed = encoding.is_some();
    if let Some(encoding) = encoding {
        headers.insert("grpc-encoding", encoding);
    }
    let lists: Vec<&str> = headers.get_all(accepted).iter().filter_map(|list| list.to_str().ok()).collect();
    let names: Vec<&str> = lists.iter().flat_map(|list| list.split(',')).filter_map(name_of).collect();
    let names = HeaderValue::from_str(&names.join(",")).ok().filter(|names| !names.is_empty());
    headers.remove(accepted);
    if let Some(names) = names {
        headers.insert("grpc-accept-encoding", names);
    }
    if headers.remove(VERSION).is_some_and(|version| version != "1") {
        return Err(Error::invalid(VERSION, "it must be 1"));
    }
    if let Some(timeout) = headers.remove(TIMEOUT) {
        let timeout = timeout.to_str().ok().and_then(timeout_of);
        let timeout = timeout.ok_or_else(|| Error::invalid(TIMEOUT, "it must be one to ten digits"))?;
        headers.insert("grpc-timeout", timeout);
    }
    Ok(is_compressed)
}

/// The name of an encoding that is accepted: without its weight, unless that is 0.
fn name_of(item: &str) -> Option<&str> {
    let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
    let weight = parameters.trim().strip_prefix("q=").and_then(|weight| weight.trim().parse::<f32>().ok());
    (weight != Some(0.0)).then_some(name.trim())
}

/// A deadline as gRPC has it, which has eight digits at most. A longer one is rounded up to a second.
fn timeout_of(milliseconds: &str) -> Option<HeaderValue> {
    if milliseconds.is_empty() || milliseconds.len() > 10 || !milliseconds.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let milliseconds: u64 = milliseconds.parse().ok()?;
    let text = if milliseconds < 100_000_000 {
        format!("{milliseconds}m")
    } else {
        format!("{}S", milliseconds.div_ceil(1000))
    };
    HeaderValue::from_str(&text).ok()
}

/// The body of a unary call, with gRPC's prefix in front of it.
struct Prefixed<B> {
    body: B,
    /// `None`: it was given out.
    prefix: Option<Announced>,
    /// The first frame of a message that is not short, if its prefix was given out alone.
    rest: Option<Bytes>,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Prefixed<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Self { body, prefix, rest } = &mut *self;
        if let Some(rest) = rest.take() {
            return Poll::Ready(Some(Ok(Frame::data(rest))));
        }
        let Some(announced) = *prefix else { return Pin::new(body).poll_frame(cx) };
        let first = if announced.len() == 0 { None } else { ready!(Pin::new(body).poll_frame(cx)) };
        let data = match first {
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => Bytes::new(),
        };
        *prefix = None;
        if data.len() > SHORT {
            *rest = Some(data);
            return Poll::Ready(Some(Ok(Frame::data(announced.to_bytes()))));
        }
        let mut both = BytesMut::with_capacity(PREFIX + data.len());
        announced.put(&mut both);
        both.extend_from_slice(&data);
        Poll::Ready(Some(Ok(Frame::data(both.freeze()))))
    }

    fn is_end_stream(&self) -> bool {
        self.prefix.is_none() && self.rest.is_none() && self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_those_of_grpc() {
        for (milliseconds, timeout) in [
            ("0", Some("0m")),
            ("5", Some("5m")),
            ("0099999999", Some("99999999m")),
            ("100000001", Some("100001S")),
            ("9999999999", Some("10000000S")),
            ("", None),
            ("10000000000", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1s", None),
        ] {
            let read = timeout_of(milliseconds);
            assert_eq!(read.as_ref().map(|value| value.to_str().expect("text")), timeout, "{milliseconds}");
        }
    }

    #[test]
    fn headers_become_those_of_grpc() {
        let unary = Protocol { codec: Codec::Json, streams: false };
        let streams = Protocol { codec: Codec::Json, streams: true };
        for (protocol, encoding, accepted) in [
            (unary, "content-encoding", "accept-encoding"),
            (streams, "connect-content-encoding", "connect-accept-encoding"),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [
                (encoding, "gzip"),
                (accepted, "zstd;q=0.5, gzip ;q=1, br;q=0,identity"),
                ("grpc-timeout", "1n"),
                ("grpc-encoding", "br"),
                ("connect-protocol-version", "1"),
                ("x-other", "kept"),
            ] {
                headers.insert(name, HeaderValue::from_static(value));
            }
            assert_eq!(translate(protocol, &mut headers), Ok(true));
            let expected = [
                ("content-type", "application/grpc"),
                ("grpc-accept-encoding", "zstd,gzip,identity"),
                ("grpc-encoding", "gzip"),
                ("x-other", "kept"),
            ];
            let mut read: Vec<_> =
                headers.iter().map(|(name, value)| (name.as_str(), value.to_str().expect("text"))).collect();
            read.sort_unstable();
            assert_eq!(read, expected);
        }
        let mut headers = HeaderMap::new();
        headers.insert("connect-protocol-version", HeaderValue::from_static("2"));
        assert!(translate(unary, &mut headers).is_err());
    }
}
