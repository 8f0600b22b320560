//! The responses of calls: they are recorded, compressed if the request was, and their bytes keep the call's guard.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use evenkeel_transport::{ConnectionHandle, SendProgress};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::{Status, body::Body, codegen::http::Response};

use super::{super::compression::Compression, guard::CallGuard};
use crate::{
    config::Encoding,
    observe::{CallRecord, CountedBody, RecordGuard, RecordedBody, Responding},
};

/// The response of a call, which is waited for.
#[derive(Debug)]
pub(in crate::server) struct ResponseFuture<F> {
    response: Responding<F>,
    /// The encodings that the server understands, and that of the answer, if it is compressed. `None`: messages are
    /// plain.
    compression: Option<(Compression, Option<Encoding>)>,
    /// `None`: the response has taken it.
    guard: Option<Arc<CallGuard>>,
    connection: Arc<ConnectionHandle>,
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(
        response: Responding<F>,
        compression: Option<(Compression, Option<Encoding>)>,
        guard: Arc<CallGuard>,
        connection: Arc<ConnectionHandle>,
    ) -> Self {
        Self { response, compression, guard: Some(guard), connection }
    }
}

impl<F: Future<Output = Result<Response<Body>, Infallible>> + Unpin> Future for ResponseFuture<F> {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (response, guard) = ready!(Pin::new(&mut self.response).poll(cx));
        let (response, is_plain) = match self.compression.take() {
            Some((compression, encoding)) => compress(response, &compression, encoding, guard.as_ref()),
            None => (response, true),
        };
        let call = self.guard.take().expect("it is not polled after its end");
        let call = if guard.is_none() { call.without_messages() } else { call };
        let connection = Arc::clone(&self.connection);
        Poll::Ready(Ok(response.map(|body| {
            let record = guard.as_ref().map(|guard| guard.record().clone());
            let body = RecordedBody::new(body, guard, is_plain);
            ResponseBody { body, record, guard: call, holds: true, connection, progress: SendProgress::current() }
        })))
    }
}

impl<F> Drop for ResponseFuture<F> {
    fn drop(&mut self) {
        if let (Some(_), Some(record)) = (&self.guard, self.response.record())
            && self.connection.is_cut()
        {
            record.connection_cut();
        }
    }
}

/// Compresses a response's message. A response with its status in the headers has no message, and no `guard`. Also
/// returns whether the body is still plain.
fn compress(
    mut response: Response<Body>,
    compression: &Compression,
    encoding: Option<Encoding>,
    guard: Option<&RecordGuard>,
) -> (Response<Body>, bool) {
    let encoding = encoding.zip(guard);
    compression.say(response.headers_mut(), encoding.map(|(encoding, _)| encoding));
    match encoding {
        Some((encoding, guard)) => {
            let counted = |body| CountedBody::new(body, guard.record().clone());
            (response.map(|body| Body::new(compression.compressed(Body::new(counted(body)), encoding))), false)
        }
        None => (response, true),
    }
}

/// The body of a call's response. The transport keeps it until all of the response is written, or lost.
#[derive(Debug)]
pub(in crate::server) struct ResponseBody {
    body: RecordedBody<Body>,
    /// `None`: the call had ended with the headers.
    record: Option<CallRecord>,
    guard: Arc<CallGuard>,
    /// Whether its bytes keep the guard.
    holds: bool,
    connection: Arc<ConnectionHandle>,
    progress: Arc<SendProgress>,
}

impl ResponseBody {
    /// The body, whose bytes do not keep the guard any more, and the guard, for the bytes that a layer makes of them
    /// ([`HeldBody`](super::HeldBody)).
    pub(in crate::server) fn into_unheld(self) -> (Self, Arc<CallGuard>) {
        let guard = Arc::clone(&self.guard);
        let mut body = self;
        body.holds = false;
        (body, guard)
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // A call that has ended is recorded already.
        let Some(record) = &self.record else { return };
        if self.progress.is_given_up() || self.connection.is_stalled() {
            record.took_nothing();
        } else if self.connection.is_cut() {
            record.connection_cut();
        }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(ending) = self.body.take_ending() {
            self.progress.when_written(|| ending.end());
        }
        Poll::Ready(
            frame.map(|frame| Ok(frame?.map_data(|data| if self.holds { self.guard.hold(data) } else { data }))),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
