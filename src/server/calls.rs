//! The calls of one connection: how many there are, what they hold, and for how long each waits for its client.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;
use tonic::{
    Code, Status,
    body::Body,
    codegen::http::{HeaderMap, Request, Response},
};
use tower::Service;

use super::{
    admission::{ConnectionShare, Kind, Messages, StreamCharge},
    body_error::{TransportError, of_transport},
    compression::{Account, Compressed, Compression, Decompressed, is_accepted},
    min_rate::MinRateTimeout,
    protocol::{NoCall, Refused},
    response_body::UntilWritten,
    send_progress::SendProgress,
    send_timeout,
    stream::Beginning,
};
use crate::{
    budget::{Budget, Portion, Reservation},
    config::Encoding,
    counters::{Counted, Counters},
    error::Error,
    observe::{CallRecord, CountedBody, RecordGuard, RecordedBody, Recorder, Responding, Stage},
};

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What happens on a connection.
#[derive(Debug)]
pub(super) struct Activity {
    began: Instant,
    /// Whether the client has begun to speak HTTP/2.
    pub(super) beginning: Arc<Beginning>,
    open: AtomicUsize,
    /// When the last call ended, in milliseconds after `began`.
    quiet_since: AtomicU64,
    /// The server has cut off the connection: its calls are not ended by their client.
    is_cut: AtomicBool,
    /// It was closed because the client did not read from it.
    is_stalled: AtomicBool,
    /// What its first streams are charged to.
    share: Arc<ConnectionShare>,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            beginning: Arc::default(),
            open: AtomicUsize::new(0),
            quiet_since: AtomicU64::new(0),
            is_cut: AtomicBool::new(false),
            is_stalled: AtomicBool::new(false),
            share: Arc::default(),
        })
    }

    /// The connection is cut off, with the calls that are open.
    pub(super) fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
    }

    /// The connection is closed because the client did not read from it.
    pub(super) fn stall(&self) {
        self.is_stalled.store(true, Ordering::Relaxed);
    }

    fn is_stalled(&self) -> bool {
        self.is_stalled.load(Ordering::Relaxed)
    }

    fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }

    /// Since when there has been no call; `None`: there is one.
    pub(super) fn quiet_since(&self) -> Option<Instant> {
        (self.open.load(Ordering::Acquire) == 0)
            .then(|| self.began + Duration::from_millis(self.quiet_since.load(Ordering::Relaxed)))
    }
}

/// A call, from its headers until the last byte of its answer was written, with the memory it holds.
#[derive(Debug)]
pub(super) struct OpenCall {
    activity: Arc<Activity>,
    _unanswered: Counted,
    _charge: StreamCharge,
    _reservation: Arc<Reservation>,
}

impl OpenCall {
    fn new(
        activity: &Arc<Activity>,
        counters: &Arc<Counters>,
        charge: StreamCharge,
        reservation: Arc<Reservation>,
    ) -> Arc<Self> {
        activity.open.fetch_add(1, Ordering::Relaxed);
        let unanswered = Counted::new(counters, |counters| &counters.calls_unanswered);
        let activity = Arc::clone(activity);
        Arc::new(Self { activity, _unanswered: unanswered, _charge: charge, _reservation: reservation })
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let now = u64::try_from(self.activity.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.activity.quiet_since.store(now, Ordering::Relaxed);
        self.activity.open.fetch_sub(1, Ordering::Release);
    }
}

/// What answers the calls of one connection.
#[derive(Clone, Debug)]
pub(super) struct Calls<S> {
    service: S,
    activity: Arc<Activity>,
    counters: Arc<Counters>,
    recorder: Recorder,
    budget: Budget,
    /// `None`: messages are plain.
    compression: Option<Compression>,
    body_timeout: Duration,
}

impl<S> Calls<S> {
    /// `body_timeout`: how long a call waits for its client to send; zero: for ever.
    pub(super) fn new(
        service: S,
        activity: Arc<Activity>,
        counters: Arc<Counters>,
        recorder: Recorder,
        budget: Budget,
        compression: Option<Compression>,
        body_timeout: Duration,
    ) -> Self {
        Self { service, activity, counters, recorder, budget, compression, body_timeout }
    }
}

impl<S> hyper::service::Service<Request<Incoming>> for Calls<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
    S::Future: Unpin,
{
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Call<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.begin(request)
    }
}

impl<S> Calls<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    /// Has a request answered, whose body is gRPC's.
    pub(super) fn begin<B>(&self, request: Request<B>) -> Call<S::Future>
    where
        B: HttpBody<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (mut head, body) = request.into_parts();
        let transport = head.extensions.remove::<TransportError>();
        let (record, guard) = self.recorder.begin(head.uri.path(), &head.headers);
        let kind = Kind::of(record.method());
        let no_call = NoCall::of(&head.method, &head.headers);
        let mut over = false;
        let charge = StreamCharge::new(kind, head.uri.path(), &head.headers, &self.activity.share, &self.counters)
            .unwrap_or_else(|error| {
                // Of a request that is refused nothing is kept.
                (head.headers, over) = (HeaderMap::new(), true);
                head.extensions.insert(Refused(error));
                StreamCharge::Refused
            });
        if let Some(no_call) = no_call {
            head.extensions.insert(no_call);
        }
        let compression = self.compression.as_ref().filter(|_| no_call.is_none());
        let encoding = compression.and_then(|compression| compression.take(&mut head.headers));
        let budget = if kind.is_question() { Budget::QUESTIONS } else { self.budget };
        let reservation = Reservation::new(&self.counters, budget);
        // Whatever the call needs beyond its messages is taken from there by those who serve it.
        head.extensions.insert(Arc::clone(&reservation));
        let open = OpenCall::new(&self.activity, &self.counters, charge, Arc::clone(&reservation));
        // What is no call has no messages.
        let messages = no_call.is_none().then(|| budget.messages(kind, encoding.is_some()));
        let body = {
            let (open, counters) = (Arc::clone(&open), Arc::clone(&self.counters));
            let timeout = MinRateTimeout::new(self.body_timeout);
            let held = Portion::new(&reservation);
            // What comes compressed is counted once it is plain.
            let (record, is_plain) = (record.clone(), encoding.is_none());
            RequestBody { body, transport, timeout, messages, held, open, counters, record, is_plain, over }
        };
        let body = match encoding {
            Some(encoding) => {
                let account = Account {
                    held: Portion::new(&reservation),
                    times: budget.messages(kind, true).times(),
                    limit: budget.max_message(),
                    record: record.clone(),
                };
                Body::new(Decompressed::new(body, encoding, account))
            }
            None => Body::new(body),
        };
        // Health and reflection have next to nothing to say.
        let encoding = encoding.filter(|&encoding| !kind.is_question() && is_accepted(&head.headers, encoding));
        head.extensions.insert(record);
        let request = Request::from_parts(head, body);
        // What is behind it is a router, which is always ready.
        let answer = Responding::begin(guard, || self.service.clone().call(request));
        let compression = self.compression.clone().map(|compression| (compression, encoding));
        Call { answer, compression, open: Some(open) }
    }
}

/// A call that has no answer yet.
#[derive(Debug)]
pub(super) struct Call<F> {
    answer: Responding<F>,
    /// What the server understands, and how the answer is compressed, if it is.
    compression: Option<(Compression, Option<Encoding>)>,
    open: Option<Arc<OpenCall>>,
}

impl<F: Future<Output = Result<Response<Body>, Infallible>> + Unpin> Future for Call<F> {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (answer, guard) = ready!(Pin::new(&mut self.answer).poll(cx));
        let (answer, is_plain) = match self.compression.take() {
            Some((compression, encoding)) => compress(answer, &compression, encoding, guard.as_ref()),
            None => (answer, true),
        };
        let open = self.open.take().expect("it is not polled after its end");
        let progress = send_timeout::of_this_task();
        Poll::Ready(Ok(answer.map(|body| {
            let body = RecordedBody::new(UntilWritten::new(body, Arc::clone(&progress)), guard, is_plain);
            Answer { body, open, progress }
        })))
    }
}

impl<F> Drop for Call<F> {
    fn drop(&mut self) {
        if let (Some(open), Some(record)) = (&self.open, self.answer.record())
            && open.activity.is_cut()
        {
            record.connection_cut();
        }
    }
}

/// Compresses an answer's message; one that has its status in the headers has none, and no `guard`. Also returns whether the
/// body is still plain.
fn compress(
    mut answer: Response<Body>,
    compression: &Compression,
    encoding: Option<Encoding>,
    guard: Option<&RecordGuard>,
) -> (Response<Body>, bool) {
    let encoding = encoding.zip(guard);
    compression.say(answer.headers_mut(), encoding.map(|(encoding, _)| encoding));
    match encoding {
        Some((encoding, guard)) => {
            let counted = |body| CountedBody::new(body, guard.record().clone());
            (answer.map(|body| Body::new(Compressed::new(Body::new(counted(body)), encoding))), false)
        }
        None => (answer, true),
    }
}

/// What those who give the body of a response to the transport must know of its call.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) open: Arc<OpenCall>,
    pub(super) progress: Arc<SendProgress>,
}

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    body: RecordedBody<UntilWritten<Body>>,
    open: Arc<OpenCall>,
    progress: Arc<SendProgress>,
}

impl Answer {
    /// Whoever gives the body to the transport keeps the call open until it is written.
    pub(super) fn sent(&self) -> Sent {
        Sent { open: Arc::clone(&self.open), progress: Arc::clone(&self.progress) }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let Some(record) = self.body.record() else { return };
        if self.progress.is_given_up() || self.open.activity.is_stalled() {
            record.took_nothing();
        } else if self.open.activity.is_cut() {
            record.connection_cut();
        }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a request: its client is not waited for for ever, and what it announces is admitted or not.
#[derive(Debug)]
struct RequestBody<B> {
    body: B,
    /// Why the transport's own body has failed, if there is something between.
    transport: Option<TransportError>,
    timeout: MinRateTimeout,
    /// `None`: the call holds next to nothing.
    messages: Option<Messages>,
    /// What they hold, as they come.
    held: Portion,
    open: Arc<OpenCall>,
    counters: Arc<Counters>,
    record: CallRecord,
    /// Whether its bytes are those of plain messages.
    is_plain: bool,
    over: bool,
}

impl<B> RequestBody<B> {
    /// Ends the body; the error becomes the answer.
    fn refuse(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.over = true;
        Poll::Ready(Some(Err(Status::from(error).into())))
    }
}

impl<B> HttpBody for RequestBody<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { body, transport, timeout, messages, held, open, counters, record, is_plain, over } = &mut *self;
        if *over {
            return Poll::Ready(None);
        }
        let frame = match Pin::new(body).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                ready!(timeout.poll_elapsed(cx));
                counters.receives_timed_out.add_one();
                return self.refuse(Error::Stalled);
            }
        };
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref) {
            timeout.progressed(data.len());
            if *is_plain {
                record.received(data.len());
            }
            if let Some(messages) = messages
                && let Err(error) = messages.frame(data, held)
            {
                return self.refuse(error);
            }
        } else if !matches!(frame, Some(Err(_))) && messages.as_ref().is_some_and(Messages::lack_one) {
            return self.refuse(Error::NotOneMessage { found: "none" });
        }
        match frame {
            Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
            Some(Err(error)) => {
                let error = error.into();
                let error = match transport {
                    None => of_transport(&*error),
                    Some(transport) => transport.get().cloned().unwrap_or_else(|| Error::Unreadable {
                        code: Code::Internal,
                        reason: Status::from_error(error).message().to_owned(),
                    }),
                };
                if error == Error::Cancelled && open.activity.is_cut() {
                    record.connection_cut();
                } else if error == Error::Cancelled {
                    record.client_left();
                }
                self.refuse(error)
            }
            None => {
                record.reached(Stage::Computing);
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        // A call without its message is told so where the message would be.
        let ends = self.over || self.body.is_end_stream() && !self.messages.as_ref().is_some_and(Messages::lack_one);
        if ends {
            self.record.reached(Stage::Computing);
        }
        ends
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
