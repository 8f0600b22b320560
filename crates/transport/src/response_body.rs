//! Responses as HTTP gets them: in chunks, and with their end only when no byte waits for a window of the client.

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
    chunk::{Chunk, Offer},
    ended::EndedResponses,
    handle::OpenRequest,
    send_progress::SendProgress,
};

/// The largest piece that HTTP is given, in bytes: a frame. HTTP/2's library takes a whole piece as soon as its client grants a
/// single byte. Smaller pieces cost time: with 128 KiB, a client that takes frames of 1 MiB is served 8 % slower.
const CHUNK: usize = 1 << 20;
/// HTTP is given another piece while fewer bytes than that are unwritten.
const MAX_UNWRITTEN: usize = 256 << 10;

/// A service whose requests are counted, and whose responses HTTP gets in chunks.
#[derive(Clone, Debug)]
pub(crate) struct Respond<S> {
    service: S,
    ended: Arc<EndedResponses>,
    offer: Option<Arc<Offer>>,
}

impl<S> Respond<S> {
    /// `offer`: by which the stream beneath HTTP takes bytes without copying them; `None`: that stream takes none.
    pub(crate) fn new(service: S, ended: Arc<EndedResponses>, offer: Option<Arc<Offer>>) -> Self {
        Self { service, ended, offer }
    }
}

impl<S, B> Service<Request<Incoming>> for Respond<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
{
    type Response = Response<ResponseBody<B>>;
    type Error = Infallible;
    type Future = Responding<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let open = Some(OpenRequest::new(self.ended.connection()));
        let (ended, offer) = (Arc::clone(&self.ended), self.offer.clone());
        Responding { response: self.service.call(request), open, progress: None, ended, offer }
    }
}

pin_project! {
    /// A response that is waited for.
    pub(crate) struct Responding<F> {
        #[pin]
        response: F,
        // `None` when the response has come.
        open: Option<OpenRequest>,
        progress: Option<Arc<SendProgress>>,
        ended: Arc<EndedResponses>,
        offer: Option<Arc<Offer>>,
    }
}

impl<F, B> Future for Responding<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
{
    type Output = Result<Response<ResponseBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // HTTP/2 runs this in a task that has a progress of its own. HTTP/1.1 has one task for all requests of a connection.
        let progress = this.progress.get_or_insert_with(|| {
            let progress = SendProgress::current();
            progress.set_connection(this.ended.connection());
            progress
        });
        let Ok(response) = ready!(progress.enter(|| this.response.poll(cx)));
        let open = this.open.take().expect("it is not polled after its end");
        let (progress, ended, offer) = (Arc::clone(progress), Arc::clone(this.ended), this.offer.take());
        let respond = |body| ResponseBody {
            kept: Some(Kept { body, open }),
            progress,
            ended,
            offer,
            rest: Bytes::new(),
            end: None,
        };
        Poll::Ready(Ok(response.map(respond)))
    }
}

/// The body of a response, in chunks.
///
/// HTTP gets the end of the body when no byte waits for a window of the client, and not as soon as it has all bytes: until the
/// end, the task that sends the response can reset its stream. After that only the socket can hold the response up, and the
/// connection keeps the service's body, with all that it owns, until the last byte is written or lost
/// ([`EndedResponses`]).
#[derive(Debug)]
pub(crate) struct ResponseBody<B> {
    /// `None`: HTTP has the end.
    kept: Option<Kept<B>>,
    progress: Arc<SendProgress>,
    ended: Arc<EndedResponses>,
    offer: Option<Arc<Offer>>,
    /// Bytes of the body that HTTP was not given yet.
    rest: Bytes,
    end: Option<End>,
}

/// The parts of a response that last until it is written.
#[derive(Debug)]
struct Kept<B> {
    body: B,
    open: OpenRequest,
}

#[derive(Debug)]
enum End {
    Bare,
    Trailers(HeaderMap),
}

impl<B: HttpBody<Data = Bytes> + Send + Unpin + 'static> HttpBody for ResponseBody<B> {
    type Data = Chunk;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Chunk>, B::Error>>> {
        let Self { kept, progress, ended, offer, rest, end } = &mut *self;
        let Some(Kept { body, open }) = kept else { return Poll::Ready(None) };
        while end.is_none() {
            if !rest.is_empty() {
                ready!(progress.poll_below(MAX_UNWRITTEN, cx));
                let piece = rest.split_to(rest.len().min(CHUNK));
                return Poll::Ready(Some(Ok(Frame::data(Chunk::new(piece, progress, offer.as_ref())))));
            }
            // However many bytes are unwritten: the end can then go out with the data before it.
            let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx)? else {
                progress.has_no_more();
                return Poll::Pending;
            };
            match frame.map(Frame::into_data) {
                Some(Ok(data)) => *rest = data,
                // HTTP has no other frames than data and trailers.
                Some(Err(frame)) => *end = Some(frame.into_trailers().map_or(End::Bare, End::Trailers)),
                None => *end = Some(End::Bare),
            }
        }
        ready!(progress.poll_sent(cx));
        open.answered();
        progress.end();
        if let Some(kept) = kept.take() {
            ended.keep(kept, progress);
        }
        Poll::Ready(match end.take() {
            Some(End::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(End::Bare) | None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        let Some(Kept { body, open: _ }) = &self.kept else { return true };
        self.end.is_none() && self.rest.is_empty() && self.progress.unwritten() == 0 && body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.kept.as_ref().map_or_else(SizeHint::default, |Kept { body, open: _ }| body.size_hint())
    }
}
