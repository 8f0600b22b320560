//! The last step of a response before it goes to the transport: a panic becomes the status INTERNAL, and the status of
//! the response ends the record of its call.

use std::{
    convert::Infallible,
    future::poll_fn,
    panic::{self, AssertUnwindSafe},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::{
    Code, Status,
    body::Body,
    codegen::http::{HeaderMap, Response, StatusCode},
};

use super::{CallRecord, RecordGuard, Stage, record::Told};
use crate::{error::Error, grpc, panics};

/// Runs `work`; a panic in it is counted, and becomes its error.
fn catch<T>(record: &CallRecord, work: impl FnOnce() -> T) -> Result<T, Error> {
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        record.panicked(panics::message(panic.as_ref()));
        Error::Panicked
    })
}

/// Runs `future`, which serves a call beside the response; a panic in it is counted, and becomes its error.
pub(crate) async fn caught<T>(record: &CallRecord, future: impl Future<Output = T>) -> Result<T, Error> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch(record, || future.as_mut().poll(cx)) {
        Ok(poll) => poll.map(Ok),
        Err(error) => Poll::Ready(Err(error)),
    })
    .await
}

/// A response that is waited for.
#[derive(Debug)]
pub(crate) struct Responding<F> {
    /// `None`: the code that makes the future has panicked. Dropped before the guard, since dropping it adds to the
    /// record.
    response: Option<F>,
    /// `None`: the future has given its response.
    guard: Option<RecordGuard>,
}

impl<F> Responding<F> {
    /// The record of the call; `None`: it has ended.
    pub(crate) fn record(&self) -> Option<&CallRecord> {
        self.guard.as_ref().map(RecordGuard::record)
    }

    /// `call` begins to answer the call.
    pub(crate) fn begin(guard: RecordGuard, call: impl FnOnce() -> F) -> Self {
        let response = catch(guard.record(), call).ok();
        Self { response, guard: Some(guard) }
    }
}

impl<F: Future<Output = Result<Response<Body>, Infallible>> + Unpin> Future for Responding<F> {
    /// The guard is for the body; `None`: there is none, and the call has ended.
    type Output = (Response<Body>, Option<RecordGuard>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { response, guard } = &mut *self;
        let record = guard.as_ref().expect("it is not polled after its end").record();
        let polled = match response {
            Some(response) => catch(record, || Pin::new(response).poll(cx)),
            None => Err(Error::Panicked),
        };
        let response = match polled {
            Ok(poll) => {
                let Ok(response) = ready!(poll);
                response
            }
            Err(error) => {
                // A future or body that has panicked must not be polled again.
                self.response = None;
                Status::from(error).into_http()
            }
        };
        let guard = self.guard.take().expect("it is not polled after its end");
        guard.record().reached(Stage::Responding);
        Poll::Ready(match told_by_head(&response) {
            Some(told) => {
                guard.end(told);
                (response, None)
            }
            None => (response, Some(guard)),
        })
    }
}

/// An extension of a response to a request of plain HTTP that was answered as it was meant. Its record has the status OK.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnsweredByHttp;

/// The status of a response without a message, which is in its headers.
fn told_by_head(response: &Response<Body>) -> Option<Told> {
    if let Some(told) = told_by(response.headers()) {
        let status = response.extensions().get::<Status>();
        let error = status.and_then(Error::of).cloned();
        let words = status.map(Status::message).filter(|words| !words.is_empty()).map(str::to_owned).or(told.words);
        return Some(Told { error, words, ..told });
    }
    if response.extensions().get::<AnsweredByHttp>().is_some() {
        return Some(Told { code: Code::Ok, error: None, words: None });
    }
    // A client takes a response without a gRPC status for UNKNOWN, such as one of plain HTTP.
    if response.status() != StatusCode::OK {
        let words = Some(format!("it is no call of gRPC, and answered with HTTP's {}", response.status()));
        return Some(Told { code: Code::Unknown, error: None, words });
    }
    response.body().is_end_stream().then(Told::nothing)
}

impl Told {
    /// The response has ended without a status, which a client takes for UNKNOWN.
    fn nothing() -> Self {
        Self { code: Code::Unknown, error: None, words: Some("the answer has no status".to_owned()) }
    }
}

/// The status in headers or trailers.
fn told_by(headers: &HeaderMap) -> Option<Told> {
    let code = Code::from_bytes(headers.get(&grpc::STATUS)?.as_bytes());
    // tonic decodes the message, which is percent-encoded.
    let words = if code == Code::Ok { None } else { Status::from_header_map(headers) };
    let words = words.map(|status| status.message().to_owned()).filter(|words| !words.is_empty());
    let words = match (words, code) {
        (Some(words), _) => Some(words),
        // tonic's router gives no message.
        (None, Code::Unimplemented) => Some("there is no such method".to_owned()),
        (None, _) => None,
    };
    Some(Told { code, error: None, words })
}

/// The body of a response, which ends with the call's status. The call ends when all of the response is written
/// ([`take_ending`](Self::take_ending)); one that fails or panics has ended with that.
#[derive(Debug)]
pub(crate) struct RecordedBody<B> {
    /// Dropped before the guard, since dropping it adds to the record. `None`: it has panicked.
    body: Option<B>,
    /// Whether its bytes are those of plain messages.
    is_plain: bool,
    /// Set once the body has given the call's status.
    ending: Option<Ending>,
    /// `None`: the call has ended, or `ending` has taken the guard.
    guard: Option<RecordGuard>,
}

/// The end of a call whose response is written completely. Dropping it instead ends the call as given up.
#[derive(Debug)]
pub(crate) struct Ending {
    guard: RecordGuard,
    told: Told,
}

impl Ending {
    /// All of the response is written.
    pub(crate) fn end(self) {
        self.guard.end(self.told);
    }
}

impl<B> RecordedBody<B> {
    /// `is_plain`: its bytes are counted here; those of a body that was compressed are counted before that.
    pub(crate) fn new(body: B, guard: Option<RecordGuard>, is_plain: bool) -> Self {
        Self { body: Some(body), is_plain, ending: None, guard }
    }

    /// The end of the call, which the caller completes when all of the response is written; `Some` once.
    pub(crate) fn take_ending(&mut self) -> Option<Ending> {
        self.ending.take()
    }

    fn end(&mut self, told: Told) {
        if let Some(guard) = self.guard.take() {
            guard.end(told);
        }
    }
}

impl<B: HttpBody<Data = Bytes, Error = Status> + Unpin> HttpBody for RecordedBody<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Self { body, is_plain, ending: _, guard } = &mut *self;
        let Some(body) = body else { return Poll::Ready(None) };
        let Some(guard) = guard else { return Pin::new(body).poll_frame(cx) };
        let record = guard.record();
        let frame = match catch(record, || Pin::new(body).poll_frame(cx)) {
            Ok(poll) => ready!(poll),
            Err(error) => {
                // A future or body that has panicked must not be polled again.
                self.body = None;
                let mut trailers = HeaderMap::new();
                Status::from(error.clone()).add_header(&mut trailers).expect("our own words fit into headers");
                self.end(Told { code: error.code(), error: Some(error), words: None });
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
        };
        let told = match &frame {
            Some(Ok(frame)) => match (frame.data_ref(), frame.trailers_ref()) {
                (Some(data), _) => {
                    if *is_plain {
                        record.sent(data.len());
                    }
                    None
                }
                (None, trailers) => trailers.and_then(told_by),
            },
            Some(Err(status)) => {
                let (code, error) = (status.code(), Error::of(status).cloned());
                let words = Some(status.message().to_owned());
                self.end(Told { code, error, words });
                None
            }
            None => Some(Told::nothing()),
        };
        if let Some(told) = told {
            self.ending = self.guard.take().map(|guard| Ending { guard, told });
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

/// A body whose bytes are counted as sent before they are compressed.
#[derive(Debug)]
pub(crate) struct CountedBody {
    body: Body,
    record: CallRecord,
}

impl CountedBody {
    pub(crate) fn new(body: Body, record: CallRecord) -> Self {
        Self { body, record }
    }
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref) {
            self.record.sent(data.len());
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
    use std::future::{pending, ready};

    use http_body_util::BodyExt as _;

    use super::*;
    use crate::observe::Recorder;

    /// A call that has begun, and the server's numbers.
    fn begun() -> (RecordGuard, Recorder) {
        let recorder = Recorder::default();
        let (_, guard) = recorder.begin("/evenkeel.v1.TensorOpsService/Dropout", &HeaderMap::new());
        (guard, recorder)
    }

    fn numbers(recorder: &Recorder) -> (u64, u64) {
        (recorder.metrics().panics(), recorder.metrics().calls_in_flight())
    }

    type Answered = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>>>>;

    #[tokio::test]
    async fn a_panic_is_an_internal_error_wherever_it_is() {
        let before = || -> Answered { panic!("on purpose") };
        let within = || -> Answered { Box::pin(async { panic!("on purpose") }) };
        let late = || -> Answered {
            Box::pin(async {
                tokio::task::yield_now().await;
                panic!("on purpose")
            })
        };
        for call in [before as fn() -> Answered, within, late] {
            let (guard, recorder) = begun();
            let (response, guard) = Responding::begin(guard, call).await;
            assert_eq!(response.headers()["grpc-status"], "13");
            assert!(guard.is_none(), "the call has ended");
            assert_eq!(numbers(&recorder), (1, 0));
        }
    }

    /// A body that panics after its first frame.
    struct Panics(bool);

    impl HttpBody for Panics {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            assert!(!std::mem::replace(&mut self.0, true), "on purpose");
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"some of it")))))
        }
    }

    #[tokio::test]
    async fn a_panic_within_an_answer_is_in_its_trailers() {
        let (guard, recorder) = begun();
        let call = || ready(Ok(Response::new(Body::new(Panics(false)))));
        let (response, guard) = Responding::begin(guard, call).await;
        let answer = response.map(|body| RecordedBody::new(body, guard, true));
        let all = answer.into_body().collect().await.expect("it ends by the book");
        assert_eq!(all.trailers().expect("it has trailers")["grpc-status"], "13");
        assert_eq!(all.to_bytes(), "some of it");
        assert_eq!(numbers(&recorder), (1, 0));
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_has_ended() {
        let (guard, recorder) = begun();
        let waits = Responding::begin(guard, pending::<Result<Response<Body>, Infallible>>);
        assert_eq!(numbers(&recorder), (0, 1));
        drop(waits);
        assert_eq!(numbers(&recorder), (0, 0));
    }
}
