//! The transport's error of a request's body, as an error of this server.

use std::{
    error::Error as StdError,
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::{Code, codegen::http::Request};

use crate::error::Error;

/// The error of a call whose request's body has failed with this: the client has left, or the bytes that came are wrong.
pub(super) fn of_transport(error: &(dyn StdError + 'static)) -> Error {
    let mut next = Some(error);
    while let Some(cause) = next {
        let is_wrong = if let Some(cause) = cause.downcast_ref::<h2::Error>() {
            // An error that the client sent (RST_STREAM, GOAWAY) means that it leaves.
            Some(cause.is_library())
        } else if let Some(cause) = cause.downcast_ref::<io::Error>() {
            Some(matches!(cause.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput))
        } else if let Some(cause) = cause.downcast_ref::<hyper::Error>() {
            cause.is_parse().then_some(true)
        } else {
            None
        };
        match is_wrong {
            Some(true) => return Error::Unreadable { code: Code::Internal, reason: error.to_string() },
            Some(false) => return Error::Cancelled,
            None => next = cause.source(),
        }
    }
    Error::Cancelled
}

/// The reason why the transport's own body has failed, for code behind a layer that turns errors into text.
#[derive(Clone, Debug, Default)]
pub(super) struct TransportError(Arc<OnceLock<Error>>);

impl TransportError {
    /// `None`: the body has not failed.
    pub(super) fn get(&self) -> Option<&Error> {
        self.0.get()
    }
}

/// A body that puts its error into the [`TransportError`] among its request's extensions.
#[derive(Debug)]
pub(super) struct Telling<B> {
    body: B,
    error: TransportError,
}

/// Adds a [`TransportError`] to the request's extensions, which its body fills when it fails.
pub(super) fn telling<B>(request: Request<B>) -> Request<Telling<B>> {
    let error = TransportError::default();
    let mut request = request.map(|body| Telling { body, error: error.clone() });
    request.extensions_mut().insert(error);
    request
}

impl<B> HttpBody for Telling<B>
where
    B: HttpBody<Data = Bytes, Error: StdError + 'static> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Err(error)) = &frame {
            self.error.0.get_or_init(|| of_transport(error));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_leaves_is_told_from_bytes_that_are_wrong() {
        for kind in [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe, io::ErrorKind::UnexpectedEof] {
            assert_eq!(of_transport(&io::Error::from(kind)), Error::Cancelled, "{kind}");
        }
        assert_eq!(of_transport(&h2::Error::from(h2::Reason::CANCEL)), Error::Cancelled);
        let wrong = of_transport(&io::Error::new(io::ErrorKind::InvalidInput, "no length of a chunk"));
        assert_eq!(wrong, Error::Unreadable { code: Code::Internal, reason: "no length of a chunk".to_owned() });
    }
}
