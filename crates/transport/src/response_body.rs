//! Responses as HTTP gets them: a little at a time, and with an end only when all of it is written.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::{body::Incoming, service::Service};
use pin_project_lite::pin_project;

use crate::{
    handle::{ConnectionHandle, OpenRequest},
    send_progress::{Chunk, SendProgress},
};

/// The largest piece that HTTP is given, in bytes: a frame. HTTP/2 takes one whole as soon as its client grants a single
/// byte. Smaller ones cost time: with 128 KiB a client that takes frames of 1 MiB has to be served 8 % longer.
const CHUNK: usize = 1 << 20;
/// HTTP is given another piece while fewer bytes than that are unwritten.
const AHEAD: usize = 256 << 10;

/// A service whose requests are counted, and whose responses HTTP is given a little at a time.
#[derive(Clone, Debug)]
pub(crate) struct Respond<S> {
    service: S,
    connection: Arc<ConnectionHandle>,
}

impl<S> Respond<S> {
    pub(crate) fn new(service: S, connection: Arc<ConnectionHandle>) -> Self {
        Self { service, connection }
    }
}

impl<S, B> Service<Request<Incoming>> for Respond<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: HttpBody<Data = Bytes> + Unpin,
{
    type Response = Response<ResponseBody<UntilWritten<B>>>;
    type Error = Infallible;
    type Future = Responding<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let open = Some(OpenRequest::new(&self.connection));
        Responding { response: self.service.call(request), open, progress: None }
    }
}

pin_project! {
    /// A response that is waited for.
    pub(crate) struct Responding<F> {
        #[pin]
        response: F,
        // There until the response is.
        open: Option<OpenRequest>,
        progress: Option<Arc<SendProgress>>,
    }
}

impl<F, B> Future for Responding<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: HttpBody<Data = Bytes> + Unpin,
{
    type Output = Result<Response<ResponseBody<UntilWritten<B>>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // HTTP/2 runs this in a task that knows its progress; HTTP/1.1 has one task for all requests of a connection.
        let progress = this.progress.get_or_insert_with(SendProgress::current);
        let Ok(response) = ready!(progress.enter(|| this.response.poll(cx)));
        let open = this.open.take().expect("it is not polled after its end");
        let progress = Arc::clone(progress);
        Poll::Ready(Ok(response.map(|body| ResponseBody::new(body, open, progress))))
    }
}

/// The body of a response, in chunks.
///
/// Its end comes when the transport has written all of its bytes, not when it has taken them: until then the task that
/// sends it lives, and is watched, and can reset its stream.
#[derive(Debug)]
pub(crate) struct ResponseBody<B> {
    body: B,
    _open: OpenRequest,
    progress: Arc<SendProgress>,
    /// What the body gave, and the transport was not given yet.
    rest: Bytes,
}

impl<B: HttpBody<Data = Bytes> + Unpin> ResponseBody<UntilWritten<B>> {
    fn new(body: B, open: OpenRequest, progress: Arc<SendProgress>) -> Self {
        Self {
            body: UntilWritten { body, progress: Arc::clone(&progress), end: None },
            _open: open,
            progress,
            rest: Bytes::new(),
        }
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for ResponseBody<B> {
    type Data = Chunk;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Chunk>, B::Error>>> {
        let Self { body, _open: _, progress, rest } = &mut *self;
        loop {
            ready!(progress.poll_below(AHEAD, cx));
            if !rest.is_empty() {
                let piece = rest.split_to(rest.len().min(CHUNK));
                return Poll::Ready(Some(Ok(Frame::data(Chunk::new(piece, progress)))));
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
/// One is around what HTTP gets. A service that records how its requests end puts another around what it records the end of:
/// a response whose last bytes are not taken has not ended well.
#[derive(Debug)]
pub struct UntilWritten<B> {
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
    /// Around a body of the response to the request that is being served.
    pub fn new(body: B) -> Self {
        Self { body, progress: SendProgress::current(), end: None }
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
