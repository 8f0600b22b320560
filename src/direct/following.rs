//! Answers whose elements follow as they are computed.
//!
//! A client may send all of a message before it reads anything of the answer. So the message is read by a task of its own
//! and never waits for the answer to be taken; what is computed waits in the pool's buffers.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinHandle,
};
use tonic::{Status, body::Body, codegen::http::Response};

use super::{answer::into_response, reading::Reading};
use crate::{
    error::Error,
    grpc::{Unfinished, trailers},
    observe::{CallRecord, caught},
};

/// What comes next.
enum Next {
    Part(Bytes),
    End(Result<(), Error>),
}

/// Answers with `opening`, and then with what `reading` makes of its call.
///
/// Until the first part is there an error is the whole answer, as it is elsewhere. After it, it is in the trailers.
pub(super) async fn respond(opening: Bytes, reading: Reading, record: CallRecord) -> Response<Body> {
    let (sender, parts) = unbounded_channel();
    let recorded = record.clone();
    let task = tokio::spawn(async move {
        // Nobody waits for the parts of an answer that was given up; the task is, too, in a moment.
        let outcome =
            caught(&recorded, reading.run(|part| _ = sender.send(Next::Part(part)))).await.and_then(|outcome| outcome);
        _ = sender.send(Next::End(outcome.map(drop)));
    });
    let mut body = Following { ready: VecDeque::new(), parts, task, record, ended: false };
    match body.parts.recv().await {
        Some(Next::Part(part)) => body.ready.extend([opening, part]),
        Some(Next::End(Err(error))) => return Status::from(error).into_http(),
        // There is no message without elements here, and a task that is gone without a word is a bug of ours.
        Some(Next::End(Ok(()))) | None => return Status::from(Error::Panicked).into_http(),
    }
    let mut response = into_response(body);
    response.extensions_mut().insert(Unfinished);
    response
}

/// The body. Dropping it gives up the call.
struct Following {
    ready: VecDeque<Bytes>,
    parts: UnboundedReceiver<Next>,
    task: JoinHandle<()>,
    record: CallRecord,
    ended: bool,
}

impl HttpBody for Following {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(bytes) = self.ready.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let outcome = match ready!(self.parts.poll_recv(cx)) {
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

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}
