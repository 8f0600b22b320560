//! Responses as the transport gets them: a little at a time, and with an end only when all of it is written.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::{body::Incoming, service::Service};
use pin_project_lite::pin_project;
use tonic::codegen::http::{HeaderMap, Request, Response};

use super::{
    calls::{Answer, OpenCall, Sent},
    send_progress::{Chunk, SendProgress},
    send_timeout,
};

/// The largest piece that the transport is given, in bytes: a frame. It takes one whole as soon as its client grants a single
/// byte. Smaller ones cost time: with 128 KiB a client that takes frames of 1 MiB has to be served 8 % longer.
const CHUNK: usize = 1 << 20;
/// The transport is given another piece while fewer bytes than that are unwritten.
const AHEAD: usize = 256 << 10;

/// A service whose responses the transport is given with care. It goes around everything that makes or changes bodies.
#[derive(Clone, Debug)]
pub(super) struct Respond<S, B> {
    service: S,
    /// What is known of the call that a response is of; `None`: it is of none, such as of a page that asks whether it may call.
    sent: fn(&mut Response<B>) -> Option<Sent>,
}

impl<S> Respond<S, Answer> {
    /// Around calls themselves.
    pub(super) fn of_calls(service: S) -> Self {
        Self { service, sent: |response| Some(response.body().sent()) }
    }
}

impl<S, B> Respond<S, B> {
    /// Around what changes the bodies of calls, which have their [`Sent`] among the extensions of the response.
    pub(super) fn of_others(service: S) -> Self {
        Self { service, sent: |response| response.extensions_mut().remove() }
    }
}

impl<S, B> Service<Request<Incoming>> for Respond<S, B>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: HttpBody<Data = Bytes> + Unpin,
{
    type Response = Response<ResponseBody<UntilWritten<B>>>;
    type Error = Infallible;
    type Future = Responding<S::Future, B>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        Responding { response: self.service.call(request), sent: self.sent }
    }
}

pin_project! {
    /// A response that is waited for.
    pub(super) struct Responding<F, B> {
        #[pin]
        response: F,
        sent: fn(&mut Response<B>) -> Option<Sent>,
    }
}

impl<F, B> Future for Responding<F, B>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: HttpBody<Data = Bytes> + Unpin,
{
    type Output = Result<Response<ResponseBody<UntilWritten<B>>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(mut response) = ready!(this.response.poll(cx));
        let (open, progress) = match (this.sent)(&mut response) {
            Some(Sent { open, progress }) => (Some(open), progress),
            None => (None, send_timeout::of_this_task()),
        };
        Poll::Ready(Ok(response.map(|body| ResponseBody::new(body, open, progress))))
    }
}

/// The body of a response, in chunks.
///
/// Its end comes when the transport has written all of its bytes, not when it has taken them: until then the task that
/// sends it lives, and is watched, and can reset its stream.
#[derive(Debug)]
pub(super) struct ResponseBody<B> {
    body: B,
    open: Option<Arc<OpenCall>>,
    progress: Arc<SendProgress>,
    /// What the body gave, and the transport was not given yet.
    rest: Bytes,
}

impl<B: HttpBody<Data = Bytes> + Unpin> ResponseBody<UntilWritten<B>> {
    fn new(body: B, open: Option<Arc<OpenCall>>, progress: Arc<SendProgress>) -> Self {
        Self { body: UntilWritten::new(body, Arc::clone(&progress)), open, progress, rest: Bytes::new() }
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for ResponseBody<B> {
    type Data = Chunk;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Chunk>, B::Error>>> {
        let Self { body, open, progress, rest } = &mut *self;
        loop {
            ready!(progress.poll_below(AHEAD, cx));
            if !rest.is_empty() {
                let piece = rest.split_to(rest.len().min(CHUNK));
                return Poll::Ready(Some(Ok(Frame::data(Chunk::new(piece, progress, open.as_ref())))));
            }
            match ready!(Pin::new(&mut *body).poll_frame(cx)?).map(Frame::into_data) {
                Some(Ok(data)) => *rest = data,
                Some(Err(frame)) => return Poll::Ready(frame.into_trailers().ok().map(|end| Ok(Frame::trailers(end)))),
                None => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body whose end comes when all that was given of it is written.
///
/// One is around what the transport gets. Another is below the record of the call, so that a call whose last bytes are not
/// taken is not recorded as one that ended well.
#[derive(Debug)]
pub(super) struct UntilWritten<B> {
    body: B,
    progress: Arc<SendProgress>,
    end: Option<End>,
}

#[derive(Debug)]
enum End {
    Bare,
    Trailers(HeaderMap),
    Told,
}

impl<B> UntilWritten<B> {
    pub(super) fn new(body: B, progress: Arc<SendProgress>) -> Self {
        Self { body, progress, end: None }
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for UntilWritten<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Self { body, progress, end } = &mut *self;
        if end.is_none() {
            let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else {
                progress.has_no_more();
                return Poll::Pending;
            };
            let frame = match frame.transpose()? {
                Some(frame) if frame.is_data() => return Poll::Ready(Some(Ok(frame))),
                // HTTP has no other frames than data and trailers.
                frame => frame.and_then(|frame| frame.into_trailers().ok()),
            };
            *end = Some(frame.map_or(End::Bare, End::Trailers));
        }
        ready!(progress.poll_below(1, cx));
        Poll::Ready(match end.replace(End::Told) {
            Some(End::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(End::Bare | End::Told) | None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        match self.end {
            Some(End::Told) => true,
            Some(End::Bare | End::Trailers(_)) => false,
            None => self.progress.unwritten() == 0 && self.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
