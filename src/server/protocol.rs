//! Requests that are no calls of gRPC: they are answered with a status of HTTP.

use std::future::ready;

use bytes::Bytes;
use http_body::Body as HttpBody;
use http_body_util::{BodyExt as _, Full};
use tonic::{
    Status,
    body::Body,
    codegen::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header},
};

use super::page::Page;
use crate::{
    error::Error,
    grpc::{BoxedResponse, GrpcService, Middleware},
};

/// The most bytes of a request that are read before it is answered. Some clients read only after they have sent
/// everything; and the HTTP/2 library reports an error of a request to its client only before the answer.
const MOST_READ: usize = 16 << 10;

/// The reason why a request is no call of gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoCall {
    /// Calls are POST.
    Method,
    /// Calls have gRPC's type.
    ContentType,
    /// The same, where calls of Connect are taken, too.
    ContentTypeOfConnect,
    /// Calls are made over HTTP/2, since they end with trailers.
    Version,
    /// The body is encoded for its transfer, and not only cut into chunks.
    TransferEncoding,
    /// The method's messages are streams, and the content type is that of Connect's unary calls.
    ConnectStreams,
    /// The method is unary, and the content type is that of Connect's streams.
    ConnectUnary,
}

impl NoCall {
    /// The reason why this is no call; `None`: it is one.
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Option<Self> {
        if method != Method::POST {
            return Some(Self::Method);
        }
        let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        let rest = content_type.and_then(|value| value.strip_prefix(b"application/grpc"));
        // The messages are protobuf: others must not be taken for it.
        let rest = rest.map(|rest| rest.strip_prefix(b"+proto").unwrap_or(rest));
        // `application/grpc-web` is another protocol.
        match rest {
            Some([] | [b';' | b' ', ..]) => None,
            Some(_) | None => Some(Self::ContentType),
        }
    }

    /// The reason why a request of HTTP/1.1 is no call: its library looks at the last transfer-encoding, and the bytes that it passes on
    /// would still be encoded by those before it.
    pub(super) fn of_http1(version: Version, headers: &HeaderMap) -> Option<Self> {
        let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
        let is_plain = encodings.next().is_none_or(|first| first.as_bytes().eq_ignore_ascii_case(b"chunked"));
        (version < Version::HTTP_2 && !(is_plain && encodings.next().is_none())).then_some(Self::TransferEncoding)
    }

    /// The response: the status that gRPC's specification has, and a text for people.
    fn answer(self, method: &Method) -> Response<Body> {
        let (status, words) = match self {
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "calls of gRPC are made with POST\n"),
            Self::ContentType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "calls of gRPC have the content-type application/grpc\n")
            }
            Self::ContentTypeOfConnect => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "calls have the content-type application/json or application/proto, or that of gRPC, application/grpc\n",
            ),
            Self::Version => (
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                "calls of gRPC are made over HTTP/2; over HTTP/1.1 they have the content-type application/grpc-web\n",
            ),
            Self::TransferEncoding => {
                (StatusCode::NOT_IMPLEMENTED, "the server reads the transfer-encoding chunked alone\n")
            }
            Self::ConnectStreams => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the method is a stream: in Connect its content-type is application/connect+json or \
                 application/connect+proto\n",
            ),
            Self::ConnectUnary => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the method is unary: in Connect its content-type is application/json or application/proto\n",
            ),
        };
        // The HTTP/2 library would send the body in an answer to HEAD as well.
        let body = if method == Method::HEAD { Body::empty() } else { Body::new(Full::from(words)) };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        if self == Self::Method {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

/// An extension of a request whose messages are JSON.
#[derive(Clone, Copy, Debug)]
pub(super) struct AsJson;

/// An extension of a request whose body is one message without a prefix, since its length is known only at its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bare {
    /// Whether the message is compressed.
    pub(super) is_compressed: bool,
}

/// An extension of a request that is refused with this error, and of which nothing is kept.
#[derive(Clone, Debug)]
pub(super) struct Refused(pub(super) Error);

/// Lets calls of gRPC through. Other requests have a [`NoCall`] among their extensions, and refused calls a
/// [`Refused`]. A request for a file of the page is no call, and gets the file.
#[derive(Clone, Debug)]
pub(super) struct OnlyGrpc {
    /// `None`: no page is served.
    page: Option<Page>,
}

impl OnlyGrpc {
    pub(super) fn new(page: Option<Page>) -> Self {
        Self { page }
    }
}

impl<S: GrpcService<Future = BoxedResponse>> Middleware<S> for OnlyGrpc {
    fn call(&self, request: Request<Body>, inner: &mut S) -> BoxedResponse {
        let Some(&no_call) = request.extensions().get::<NoCall>() else {
            return match request.extensions().get::<Refused>() {
                Some(Refused(error)) => Box::pin(ready(Ok(Status::from(error.clone()).into_http()))),
                None => inner.call(request),
            };
        };
        let (head, body) = request.into_parts();
        let page = self.page.clone();
        Box::pin(async move {
            read(body).await;
            let answer = page.and_then(|page| page.answer(&head));
            Ok(answer.unwrap_or_else(|| no_call.answer(&head.method)))
        })
    }
}

/// Reads a body to its end, or [`MOST_READ`] bytes of it. The time limit is that of a call's body.
async fn read(mut body: impl HttpBody<Data = Bytes> + Unpin) {
    let mut read = 0;
    while read < MOST_READ {
        // A body that fails, or whose time is over, has ended.
        let Some(Ok(frame)) = body.frame().await else { break };
        read += frame.data_ref().map_or(0, Bytes::len);
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, io};

    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    #[test]
    fn bodies_are_encoded_as_chunks_alone() {
        let no_call = |version, encodings: &[&'static str]| {
            let headers = encodings.iter().map(|&value| (header::TRANSFER_ENCODING, HeaderValue::from_static(value)));
            NoCall::of_http1(version, &headers.collect())
        };
        for encodings in [&[][..], &["chunked"], &["Chunked"]] {
            assert_eq!(no_call(Version::HTTP_11, encodings), None, "{encodings:?}");
        }
        for encodings in [&["gzip, chunked"][..], &["gzip", "chunked"], &["chunked", "chunked"], &["identity"], &[""]] {
            assert_eq!(no_call(Version::HTTP_11, encodings), Some(NoCall::TransferEncoding), "{encodings:?}");
        }
        assert_eq!(no_call(Version::HTTP_2, &["gzip, chunked"]), None);
    }

    #[test]
    fn calls_are_told_from_other_requests() {
        let no_call = |method: &str, content_type: Option<&'static str>| {
            let content_type = content_type.map(|value| (header::CONTENT_TYPE, HeaderValue::from_static(value)));
            NoCall::of(&method.parse().expect("a method"), &content_type.into_iter().collect())
        };
        for content_type in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc; charset=utf-8",
            "application/grpc+proto;v=1",
        ] {
            assert_eq!(no_call("POST", Some(content_type)), None, "{content_type}");
        }
        let others = ["application/json", "application/grpc-web", "text/application/grpc", "application/grpc+json"];
        for other in others.map(Some).into_iter().chain([None, Some("application/grpc+prototype")]) {
            assert_eq!(no_call("POST", other), Some(NoCall::ContentType), "{other:?}");
        }
        for method in ["GET", "PUT", "HEAD", "CONNECT", "BREW"] {
            assert_eq!(no_call(method, Some("application/grpc")), Some(NoCall::Method), "{method}");
        }
    }

    /// The number of these frames that are read.
    async fn frames_read(frames: Vec<io::Result<Frame<Bytes>>>) -> usize {
        let taken = Cell::new(0);
        let frames = frames.into_iter().inspect(|_| taken.set(taken.get() + 1));
        read(StreamBody::new(tokio_stream::iter(frames))).await;
        taken.get()
    }

    #[tokio::test]
    async fn a_request_is_read_to_its_end_or_so_far() {
        let data = |len| Ok(Frame::data(Bytes::from(vec![0; len])));
        let trailers = || Ok(Frame::trailers(HeaderMap::new()));
        let failed = || Err(io::ErrorKind::ConnectionReset.into());
        assert_eq!(frames_read(vec![]).await, 0);
        assert_eq!(frames_read(vec![data(10), data(0), trailers()]).await, 3);
        assert_eq!(frames_read(vec![data(MOST_READ - 1), data(1), data(1)]).await, 2);
        assert_eq!(frames_read(vec![data(10 * MOST_READ), data(1)]).await, 1);
        assert_eq!(frames_read(vec![data(1), failed(), data(1)]).await, 2);
    }
}
