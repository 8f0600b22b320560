//! Answers that follow as they are computed.
//!
//! A task of its own reads the request. The client of a unary call may send all of its message before it reads anything of the
//! answer, so the task of a unary call never waits for the answer to be taken, and the results stay in buffers until then.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use tokio::{
    sync::mpsc::{Receiver, Sender, UnboundedReceiver, unbounded_channel},
    task::JoinHandle,
};
use tonic::{Status, body::Body, codegen::http::Response};

use super::{answer::into_response, reading::Reading};
use crate::{
    error::Error,
    grpc::{Unfinished, trailers},
    observe::{CallRecord, caught},
    service::Next,
};

/// The receiver of a channel with the parts of an answer.
trait Parts: Unpin + Send + 'static {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Next>>;
}

impl Parts for UnboundedReceiver<Next> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Next>> {
        self.poll_recv(cx)
    }
}

impl Parts for Receiver<Next> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Next>> {
        self.poll_recv(cx)
    }
}

/// Answers with `opening`, and then with the parts of the output that `reading` computes.
///
/// An error before the first part is the whole answer, as on other routes. An error after it is in the trailers.
pub(super) async fn respond(opening: Bytes, reading: Reading, record: CallRecord) -> Response<Body> {
    let (sender, parts) = unbounded_channel();
    let recorded = record.clone();
    let task = tokio::spawn(async move {
        // Sending fails if the response was dropped. That also aborts this task.
        let outcome =
            caught(&recorded, reading.run(|part| _ = sender.send(Next::Part(part)))).await.and_then(|outcome| outcome);
        _ = sender.send(Next::End(outcome.map(drop)));
    });
    Following { ready: [opening].into(), parts, task, record, ended: false }.begin().await
}

/// Answers with the `parts` that `reading` sends. `sender` sends to the same channel: it ends the answer with the outcome of
/// `reading`.
pub(super) async fn follow(
    reading: impl Future<Output = Result<(), Error>> + Send + 'static,
    sender: Sender<Next>,
    parts: Receiver<Next>,
    record: CallRecord,
) -> Response<Body> {
    let recorded = record.clone();
    let task = tokio::spawn(async move {
        let outcome = caught(&recorded, reading).await.and_then(|outcome| outcome);
        // Sending fails if the response was dropped. That also aborts this task.
        _ = sender.send(Next::End(outcome)).await;
    });
    Following { ready: VecDeque::new(), parts, task, record, ended: false }.begin().await
}

/// The body of a response that is still being computed. Dropping it aborts the task that computes it.
struct Following<P> {
    /// The parts that are sent before those of the channel.
    ready: VecDeque<Bytes>,
    parts: P,
    task: JoinHandle<()>,
    record: CallRecord,
    /// Whether the trailers were given out.
    ended: bool,
}

impl<P: Parts> Following<P> {
    /// Waits for the first part, and returns the response. If an error comes first, the response is that error.
    async fn begin(mut self) -> Response<Body> {
        match poll_fn(|cx| self.parts.poll_next(cx)).await {
            Some(Next::Part(part)) => self.ready.push_back(part),
            Some(Next::End(Err(error))) => return Status::from(error).into_http(),
            // Each answer has at least one part, and each task sends the end of its answer. Anything else is a bug of the server.
            Some(Next::End(Ok(()))) | None => return Status::from(Error::Panicked).into_http(),
        }
        let mut response = into_response(self);
        response.extensions_mut().insert(Unfinished);
        response
    }
}

impl<P: Parts> HttpBody for Following<P> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(bytes) = self.ready.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let outcome = match ready!(self.parts.poll_next(cx)) {
            Some(Next::Part(part)) => return Poll::Ready(Some(Ok(Frame::data(part)))),
            Some(Next::End(outcome)) => outcome,
            None => Err(Error::Panicked),
        };
        self.ended = true;
        let outcome = outcome.map_err(|error| {
            self.record.fail(error.clone());
            Status::from(error)
        });
        Poll::Ready(Some(Ok(Frame::trailers(trailers(&outcome)))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

impl<P> Drop for Following<P> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
