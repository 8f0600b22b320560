//! Messages in JSON, of calls of Connect, become messages of protobuf for the layers further in, and their answers become JSON.
//!
//! This layer is within the call's reservation, its token and its deadline. The text of a request is counted as it arrives. All
//! that it becomes is reserved before it is allocated, and the message is then counted as one that had come in protobuf. Texts
//! that take long to convert are converted on the pool.

use std::{
    collections::VecDeque,
    future::{poll_fn, ready},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use evenkeel_frames::{Announced, PREFIX, Prefix};
use evenkeel_kernels::Checkpoint;
use evenkeel_transport::Turn;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use prost_reflect::MessageDescriptor;
use tonic::{Status, body::Body, codegen::http::Request};

use super::{
    admission::{Kind, Messages},
    protocol::AsJson,
};
use crate::{
    budget::Portion,
    error::Error,
    executor::Executor,
    grpc::{self, BoxedResponse, GrpcService, Middleware, Unfinished, trailers, unknown_encoding},
    json::{self, Growing, Schemas},
    service::{CallContext, Separated},
};

/// How long a byte of a text or a message takes to be converted.
const PER_BYTE: Duration = Duration::from_nanos(5);

/// The bytes of an answer's text beside its elements, at first.
const ROOM: usize = 256;

/// Converts the messages of calls whose messages are JSON.
#[derive(Clone, Debug)]
pub(super) struct Json {
    /// `None`: no call has messages in JSON.
    schemas: Option<Arc<Schemas>>,
    executor: Arc<Executor>,
}

impl Json {
    pub(super) fn new(schemas: Option<Arc<Schemas>>, executor: Arc<Executor>) -> Self {
        Self { schemas, executor }
    }
}

impl<S: GrpcService<Future = BoxedResponse>> Middleware<S> for Json {
    fn call(&self, mut request: Request<Body>, inner: &mut S) -> BoxedResponse {
        if request.extensions_mut().remove::<AsJson>().is_none() {
            return inner.call(request);
        }
        // The layer further in answers calls of methods that there are not.
        let rpc = self.schemas.as_ref().and_then(|schemas| schemas.rpc(request.uri().path())).cloned();
        let Some(rpc) = rpc else { return inner.call(request) };
        if let Some(header) = unknown_encoding(&request) {
            return Box::pin(ready(Ok(Status::from(Error::UnknownEncoding { header }).into_http())));
        }
        let (head, body) = request.into_parts();
        let converter = Converter { executor: Arc::clone(&self.executor), context: CallContext::of(&head.extensions) };
        let requests = Requests::new(converter.clone(), Kind::of_call(&head.extensions), rpc.request, body);
        let body = Body::new(StreamBody::new(stream::unfold(requests, Requests::next)));
        let answer = inner.call(Request::from_parts(head, body));
        Box::pin(async move {
            let response = answer.await?;
            if response.headers().contains_key(&grpc::STATUS) {
                return Ok(response);
            }
            let mut response = response.map(|body| {
                let answers = Answers::new(converter, rpc.answer, body);
                Body::new(StreamBody::new(Box::pin(stream::unfold(answers, Answers::next))))
            });
            // The answer is converted while it is sent.
            response.extensions_mut().insert(Unfinished);
            Ok(response)
        })
    }
}

/// Converts the messages of one call.
#[derive(Clone, Debug)]
struct Converter {
    executor: Arc<Executor>,
    context: CallContext,
}

impl Converter {
    /// Runs a conversion of `len` bytes, on the pool if that is expected to take long.
    async fn run<T: Send + 'static>(
        &self,
        len: usize,
        job: impl FnOnce(&dyn Checkpoint) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let estimate = PER_BYTE.saturating_mul(u32::try_from(len).unwrap_or(u32::MAX));
        self.context.run(&self.executor, estimate, job).await
    }

    /// A message behind its prefix, which `convert` makes of `len` bytes. Memory for `room` bytes is taken at first.
    async fn framed(
        &self,
        len: usize,
        room: usize,
        convert: impl FnOnce(&mut Growing, &dyn Checkpoint) -> Result<(), Error> + Send + 'static,
    ) -> Result<Bytes, Error> {
        // The job may outlive the call, and so does the reservation then.
        let mut out = Growing::new(&self.context.reservation);
        self.run(len, move |checkpoint| {
            out.room(PREFIX + room)?.extend([0; PREFIX]);
            convert(&mut out, checkpoint)?;
            let size = out.len() - PREFIX;
            let limit = u32::MAX as usize;
            let length = u32::try_from(size).map_err(|_| Error::ResponseTooLarge { size, limit })?;
            out.added()[..PREFIX].copy_from_slice(&Announced { flag: 0, length }.to_bytes());
            Ok(out.into_bytes())
        })
        .await
    }
}

/// The messages of a request.
struct Requests {
    converter: Converter,
    message: MessageDescriptor,
    texts: Separated,
    /// Counts the messages as those that come in protobuf.
    messages: Messages,
    held: Portion,
    /// The bytes of the last message that were not counted yet.
    rest: Bytes,
    turn: Turn,
    over: bool,
}

impl Requests {
    fn new(converter: Converter, kind: Kind, message: MessageDescriptor, body: Body) -> Self {
        let CallContext { record, reservation } = &converter.context;
        let budget = reservation.budget();
        Self {
            texts: Separated::new(body, budget.max_message()),
            messages: budget.messages(kind, record.method(), false),
            held: Portion::new(reservation),
            converter,
            message,
            rest: Bytes::new(),
            turn: Turn::new(usize::MAX),
            over: false,
        }
    }

    async fn next(mut self) -> Option<(Result<Frame<Bytes>, Status>, Self)> {
        if self.over {
            return None;
        }
        match self.advance().await {
            Ok(Some(bytes)) => Some((Ok(Frame::data(bytes)), self)),
            Ok(None) => None,
            Err(error) => {
                self.over = true;
                Some((Err(error.into()), self))
            }
        }
    }

    /// Waits for the next bytes of messages.
    async fn advance(&mut self) -> Result<Option<Bytes>, Error> {
        poll_fn(|cx| self.turn.poll(cx)).await;
        self.messages.asked_for_more(&mut self.held);
        let mut bytes = std::mem::take(&mut self.rest);
        if bytes.is_empty() {
            let Some(text) = self.texts.next().await? else { return Ok(None) };
            bytes = self.convert(text).await?;
        }
        let counted = self.messages.frame(&bytes, &mut self.held)?;
        self.rest = bytes.split_off(counted);
        Ok(Some(bytes))
    }

    async fn convert(&mut self, text: Bytes) -> Result<Bytes, Error> {
        let len = text.len();
        let (message, reservation) = (self.message.clone(), Arc::clone(&self.converter.context.reservation));
        let limit = reservation.budget().max_message();
        let convert = move |out: &mut Growing, checkpoint: &dyn Checkpoint| {
            json::read(&text, &message, out, limit, &reservation, checkpoint)
        };
        self.converter.framed(len, len, convert).await
    }
}

/// The messages of an answer, and its trailers.
struct Answers {
    converter: Converter,
    message: MessageDescriptor,
    body: Body,
    prefix: Prefix,
    /// The bytes that have come, of the message whose prefix has come, and its length.
    pieces: VecDeque<Bytes>,
    len: usize,
    /// `None`: no prefix has come since the last message.
    expected: Option<usize>,
    over: bool,
}

impl Answers {
    fn new(converter: Converter, message: MessageDescriptor, body: Body) -> Self {
        let (prefix, pieces) = (Prefix::new(), VecDeque::new());
        Self { converter, message, body, prefix, pieces, len: 0, expected: None, over: false }
    }

    async fn next(mut self) -> Option<(Result<Frame<Bytes>, Status>, Self)> {
        if self.over {
            return None;
        }
        match self.advance().await {
            Ok(Some(frame)) => {
                self.over = frame.is_trailers();
                Some((Ok(frame), self))
            }
            Ok(None) => None,
            Err(Failure::Status(status)) => {
                self.over = true;
                Some((Err(status), self))
            }
            Err(Failure::Error(error)) => {
                self.over = true;
                self.converter.context.record.fail(error.clone());
                Some((Ok(Frame::trailers(trailers(&Err(error.into())))), self))
            }
        }
    }

    /// Waits for the next message, or for the trailers.
    async fn advance(&mut self) -> Result<Option<Frame<Bytes>>, Failure> {
        loop {
            if let Some(message) = self.message()? {
                let len = message.len();
                let descriptor = self.message.clone();
                let convert = move |out: &mut Growing, checkpoint: &dyn Checkpoint| {
                    json::write(&message, &descriptor, out, checkpoint)
                };
                // Most of a message are elements, which become base64.
                let text = self.converter.framed(len, len.div_ceil(3) * 4 + ROOM, convert).await?;
                return Ok(Some(Frame::data(text)));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.len += data.len();
                        self.pieces.push_back(data);
                    }
                    Err(trailers) => return Ok(Some(trailers)),
                },
                Some(Err(status)) => return Err(Failure::Status(status)),
                None => return Ok(None),
            }
        }
    }

    /// The next message as one piece, if all of it has come.
    fn message(&mut self) -> Result<Option<Bytes>, Error> {
        while self.expected.is_none()
            && let Some(piece) = self.pieces.front_mut()
        {
            let before = piece.len();
            self.expected = self.prefix.take(piece).map(Announced::len);
            self.len -= before - piece.len();
            if piece.is_empty() {
                self.pieces.pop_front();
            }
        }
        let Some(expected) = self.expected.filter(|&expected| self.len >= expected) else { return Ok(None) };
        self.expected = None;
        self.len -= expected;
        match self.pieces.front_mut() {
            None => return Ok(Some(Bytes::new())),
            Some(first) if first.len() >= expected => {
                let message = first.split_to(expected);
                if first.is_empty() {
                    self.pieces.pop_front();
                }
                return Ok(Some(message));
            }
            Some(_) => (),
        }
        let mut joined = Growing::new(&self.converter.context.reservation);
        let bytes = joined.room(expected)?;
        while bytes.len() < expected
            && let Some(piece) = self.pieces.front_mut()
        {
            let here = piece.split_to(piece.len().min(expected - bytes.len()));
            bytes.extend_from_slice(&here);
            if piece.is_empty() {
                self.pieces.pop_front();
            }
        }
        Ok(Some(joined.into_bytes()))
    }
}

/// The reason why an answer does not go on.
enum Failure {
    /// The body's own.
    Status(Status),
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}
