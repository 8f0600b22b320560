//! The record of one call.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use evenkeel_kernels::{DType, TensorRef};
use tonic::{
    Code,
    codegen::http::{Extensions, HeaderMap},
};

use super::{
    Recorder,
    entry::{Described, End, Entry, Shape},
    line,
};
use crate::{
    error::Error,
    grpc::Method,
    metrics::{Elements, Kind, Route},
    otlp::{self, Outcome, Trace},
};

/// The longest path that is kept of a method that this server does not have, in characters.
const MAX_PATH: usize = 128;

/// One call, while it is served. Clones are the same record.
#[derive(Clone, Debug)]
pub(crate) struct CallRecord(Arc<Call>);

#[derive(Debug)]
struct Call {
    recorder: Recorder,
    method: Method,
    /// The path that was asked for, if no method has it.
    path: Option<Box<str>>,
    began: Instant,
    /// The bytes of the request's messages, decompressed. `sent`: those of the response's, before they are compressed.
    received: AtomicU64,
    sent: AtomicU64,
    stage: AtomicU8,
    facts: Mutex<Facts>,
}

/// The facts that become known while a call is served.
#[derive(Debug, Default)]
struct Facts {
    trace_id: Option<String>,
    span: Option<Trace>,
    described: Option<Described>,
    /// The time that all jobs of the call waited, and (`computed`) ran; `None`: there was none.
    queued: Option<Duration>,
    computed: Option<Duration>,
    /// The last failure that was reported by [`CallRecord::fail`].
    failure: Option<Error>,
    /// The reason why no response can reach the client; `None`: none is known.
    gone: Option<Gone>,
}

/// The reason why a call ends without a response, or with one that does not reach the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone {
    /// The client left, or the connection broke, when the call had come so far.
    Left(Stage),
    /// The client did not take the answer within the time there is.
    TookNothing,
    /// The server has cut off the connection, after it had told the client to leave it (GOAWAY).
    ConnectionCut,
    /// The time to drain is over.
    ShutDown,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    /// The client sends its request.
    Receiving,
    /// The request is here, and has no answer yet.
    Computing,
    /// The answer is being sent.
    Responding,
}

impl Stage {
    const fn of(number: u8) -> Self {
        match number {
            0 => Self::Receiving,
            1 => Self::Computing,
            _ => Self::Responding,
        }
    }

    /// The words in the log for a client that leaves in this stage.
    const fn left(self) -> &'static str {
        match self {
            Self::Receiving => "the client left while it was sending its request",
            Self::Computing => "the client left before it was answered",
            Self::Responding => "the client left before it had all of the answer",
        }
    }
}

impl Recorder {
    /// The record of a call that asks for `path`, and the guard that ends it.
    pub(crate) fn begin(&self, path: &str, headers: &HeaderMap) -> (CallRecord, RecordGuard) {
        let method = Method::of_path(path);
        self.metrics().started(method);
        let span = self.span(method, headers);
        let trace_id = match &span {
            Some(span) => span.trace_id(),
            None => otlp::trace_id(headers),
        };
        let record = CallRecord::new(self.clone(), method, path, trace_id, span);
        (record.clone(), RecordGuard::new(record))
    }
}

impl CallRecord {
    pub(super) fn new(
        recorder: Recorder,
        method: Method,
        path: &str,
        trace_id: Option<String>,
        span: Option<Trace>,
    ) -> Self {
        Self(Arc::new(Call {
            recorder,
            method,
            path: (method == Method::Other).then(|| path.chars().take(MAX_PATH).collect()),
            began: Instant::now(),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            stage: AtomicU8::new(Stage::Receiving as u8),
            facts: Mutex::new(Facts { trace_id, span, ..Facts::default() }),
        }))
    }

    /// The record of the request with these extensions.
    ///
    /// # Panics
    /// If the request has no record, which is a bug: [`Recorder::begin`] makes one for every request.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().expect("every request has its record from the door").clone()
    }

    /// The method of the request with these extensions, as its path was read when the record was made.
    ///
    /// # Panics
    /// As [`of`](Self::of).
    pub(crate) fn method_of(extensions: &Extensions) -> Method {
        extensions.get::<Self>().expect("every request has its record from the door").method()
    }

    /// A record that belongs to no request.
    #[cfg(test)]
    pub(crate) fn detached(method: Method) -> Self {
        Self::new(Recorder::default(), method, "", None, None)
    }

    pub(crate) fn method(&self) -> Method {
        self.0.method
    }

    pub(super) fn recorder(&self) -> &Recorder {
        &self.0.recorder
    }

    /// Bytes of the request have come.
    pub(crate) fn received(&self, bytes: usize) {
        self.0.received.fetch_add(bytes as u64, Ordering::Relaxed);
        self.recorder().metrics().received(self.method(), bytes);
    }

    /// Bytes of the answer were handed to the transport.
    pub(crate) fn sent(&self, bytes: usize) {
        self.0.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        self.recorder().metrics().sent(self.method(), bytes);
    }

    /// The call has come so far. It never goes back.
    pub(crate) fn reached(&self, stage: Stage) {
        self.0.stage.fetch_max(stage as u8, Ordering::Relaxed);
    }

    fn stage(&self) -> Stage {
        Stage::of(self.0.stage.load(Ordering::Relaxed))
    }

    /// A message was read, and goes to its kernel by this route.
    pub(crate) fn took(&self, route: Route) {
        self.recorder().metrics().took(route);
    }

    /// The request was decoded: this operation is computed, on these tensors.
    pub(crate) fn describe(&self, kind: impl Into<Kind>, tensors: &[TensorRef<'_>]) {
        let elements = Elements::of(tensors);
        match tensors {
            [tensor] => self.describe_one(kind, tensor.dtype(), tensor.shape()),
            [] | [_, ..] => {
                let shape =
                    Shape::Several { tensors: tensors.len(), elements: tensors.iter().map(TensorRef::len).sum() };
                self.described(kind.into(), elements, shape);
            }
        }
    }

    /// As [`describe`](Self::describe), for a single tensor that is still arriving.
    pub(crate) fn describe_one(&self, kind: impl Into<Kind>, dtype: DType, shape: &[usize]) {
        self.described(kind.into(), dtype.into(), Shape::One(shape.to_vec()));
    }

    /// As [`describe`](Self::describe), for a stream of tensors, of which only the number of elements is kept.
    pub(crate) fn describe_streamed(&self, kind: impl Into<Kind>, dtypes: Elements, elements: u64) {
        self.described(kind.into(), dtypes, Shape::Streamed { elements });
    }

    /// As [`describe_streamed`](Self::describe_streamed), of a stream that has begun and may end early. The metrics count the
    /// operation when the stream is complete: its dtype may still change.
    pub(crate) fn describe_begun(&self, kind: impl Into<Kind>, dtypes: Elements, elements: u64) {
        self.keep(kind.into(), dtypes, Shape::Streamed { elements });
    }

    fn described(&self, kind: Kind, elements: Elements, shape: Shape) {
        self.recorder().metrics().operation(self.method(), kind, elements);
        self.keep(kind, elements, shape);
    }

    fn keep(&self, kind: Kind, elements: Elements, shape: Shape) {
        self.facts().described = Some(Described { kind: kind.name(), dtype: elements.name(), shape });
    }

    /// A job has waited so long.
    pub(super) fn waited(&self, time: Duration) {
        *self.facts().queued.get_or_insert_default() += time;
    }

    /// A job has computed so long.
    pub(super) fn computed(&self, time: Duration) {
        *self.facts().computed.get_or_insert_default() += time;
    }

    /// The call fails with this error, which is not in the status that is answered.
    pub(crate) fn fail(&self, error: Error) {
        self.facts().failure = Some(error);
    }

    /// The client has left, or the connection is broken: no response reaches the client from here on.
    pub(crate) fn client_left(&self) {
        let gone = self.gone();
        self.facts().gone.get_or_insert(gone);
    }

    /// The client did not take its response in time, and the response is given up.
    pub(crate) fn took_nothing(&self) {
        self.facts().gone.get_or_insert(Gone::TookNothing);
    }

    /// The server has cut off the connection, after it had told the client to leave it (GOAWAY).
    pub(crate) fn connection_cut(&self) {
        self.facts().gone.get_or_insert(Gone::ConnectionCut);
    }

    /// The reason why the call ends without a status, if no other is known.
    fn gone(&self) -> Gone {
        if self.recorder().is_closing() { Gone::ShutDown } else { Gone::Left(self.stage()) }
    }

    /// Code that serves the call has panicked, which is a bug. Each panic is counted and logged here once, also if the
    /// client has left.
    pub(crate) fn panicked(&self, message: &str) {
        self.recorder().metrics().panicked();
        line::panicked(&self.entry(&self.facts()), message);
    }

    fn entry<'a>(&'a self, facts: &'a Facts) -> Entry<'a> {
        let Call { method, path, began, received, sent, .. } = &*self.0;
        Entry {
            method: *method,
            path: path.as_deref(),
            trace_id: facts.trace_id.as_deref(),
            described: facts.described.as_ref(),
            queued: facts.queued,
            computed: facts.computed,
            received: received.load(Ordering::Relaxed),
            sent: sent.load(Ordering::Relaxed),
            elapsed: began.elapsed(),
        }
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        // No holder panics, and a record that is half filled is better than none.
        self.0.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the count, the line and the span. `told`: the status that was answered; `None`: the call was dropped
    /// before it had one.
    fn end(&self, told: Option<Told>) {
        let mut facts = self.facts();
        let span = facts.span.take();
        let entry = self.entry(&facts);
        let (end, failure) = self.outcome(told, &facts);
        let metrics = self.recorder().metrics();
        if let Some(error) = &failure {
            metrics.failed(error);
        }
        line::ended(&entry, &end);
        if let Some(span) = span {
            let Entry { described, queued, computed, received, sent, elapsed, .. } = entry;
            let described = described.map(|it| (it.kind, it.dtype, it.shape.to_string()));
            span.end(Outcome { code: end.code, took: elapsed, described, queued, computed, received, sent });
        }
        metrics.handled(self.method(), end.code, entry.elapsed);
        drop(facts);
        self.recorder().ended();
    }

    /// How the call has ended, and the failure that is counted for it.
    fn outcome(&self, told: Option<Told>, facts: &Facts) -> (End, Option<Error>) {
        let ended = |code, words: &str| (End { code, words: Some(words.to_owned()), is_ours: false }, None);
        let failed = |error: Error| {
            (End { code: error.code(), words: Some(error.to_string()), is_ours: error.is_ours() }, Some(error))
        };
        let told = match (facts.gone, told) {
            (None, Some(told)) => Ok(told),
            (None, None) => Err(self.gone()),
            (Some(gone), _) => Err(gone),
        };
        let Told { code, error, words } = match told {
            Ok(told) => told,
            Err(Gone::Left(stage)) => return ended(Code::Cancelled, stage.left()),
            Err(Gone::TookNothing) => return ended(Code::Cancelled, "the client did not take its answer in time"),
            Err(Gone::ConnectionCut) => return ended(Code::Unavailable, "the server has ended the connection"),
            Err(Gone::ShutDown) => return failed(Error::ShuttingDown),
        };
        match error.or_else(|| facts.failure.clone()).filter(|error| error.code() == code) {
            Some(error) => failed(error),
            None => (End { code, words, is_ours: false }, None),
        }
    }
}

/// The status that was answered.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) code: Code,
    /// The failure that it stands for, if it is known.
    pub(super) error: Option<Error>,
    /// Its message, if its error is not known.
    pub(super) words: Option<String>,
}

/// Ends the record of a call, once. Dropped without a status, the call was given up by its client, or cut off by the server.
#[derive(Debug)]
pub(crate) struct RecordGuard {
    record: CallRecord,
    has_ended: bool,
}

impl RecordGuard {
    pub(super) fn new(record: CallRecord) -> Self {
        Self { record, has_ended: false }
    }

    pub(crate) fn record(&self) -> &CallRecord {
        &self.record
    }

    /// The call was answered with this status.
    pub(super) fn end(mut self, told: Told) {
        self.has_ended = true;
        self.record.end(Some(told));
    }
}

impl Drop for RecordGuard {
    fn drop(&mut self) {
        if !self.has_ended {
            self.record.end(None);
        }
    }
}
