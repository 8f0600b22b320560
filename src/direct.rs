//! The unary calls without tonic's codec, which copies every payload once on its way in and once on its way out.
//!
//! The frames of a request are read as they are: a message that came in one frame is not copied, and a tensor that can be
//! normalized in parts is normalized while it arrives. An answer goes out as a short header and then the payload, as
//! segments. Whatever is not plain (compression, a message above the limit, none or two of them, bytes that are no message)
//! is handed to the codec's path, frames and all, and answered there: the codec stays the one place that knows every way a
//! message can come, and its answer.
//!
//! A message takes one of six routes, which `evenkeel_routes_total` counts. `tests/service/routes.rs` takes each of them.
//!
//! A message of very many tensors or numbers is also decoded, and its answer encoded, on the pool: that takes longer than
//! other calls should wait for the thread that serves.
//!
//! | route | when | computed | result written |
//! |---|---|---|---|
//! | `one_frame` | it came in one frame | inline if short, else on the pool | to a new buffer |
//! | `streamed` | a Normalize in several frames whose rows are independent | while frames come: short parts inline, long ones on the pool | part by part, to buffers that are sent at once |
//! | `collected` | the same, with statistics, which precede the output | the same | the same, sent when all are there |
//! | `gathered` | anything else in several frames, and what was decompressed | as `one_frame` | over the elements that came, where all of them are there |
//! | `codec` | MeasureGradients and MeasureStatistics, what is not plain, all but `chunks` with `--codec-path` | as `one_frame` | to a new buffer |
//! | `chunks` | the messages of a stream of tensors | while they come, also within a message; parts as `streamed` | chunk by chunk, to buffers that are sent when the client takes them |
//!
//! "Inline" is on the thread that serves, for work that is expected to take less than 70 us (`executor.rs`): `--threads`,
//! `--compute-nice` and `--max-queued` hold for the pool alone. A part of a `streamed` or `collected` call has some 32,768
//! elements, or a row if that is longer. Of float32 it takes some 13 us, and handing it over takes 20, so parts are done inline,
//! and after each 70 us of them the thread serves other calls. The rows that are too long for that, of some 180,000
//! elements, go to the pool one after the other; such a call is refused for `--max-queued` at its first part, or not at all.

mod answer;
mod arriving;
mod chunks;
mod following;
mod head;
mod parts;
mod reading;
mod receive;

pub use self::head::normalize_head;

use std::{convert::Infallible, sync::Arc};

use prost::Message as _;
use tonic::{
    Status, Streaming,
    body::Body,
    codegen::http::{Request, Response, request::Parts},
};

use self::{
    answer::{Answer, respond},
    arriving::Outcome,
    receive::{Incoming, Received, body_of},
};
use crate::{
    buffers::Buffers,
    error::Error,
    grpc::{BoxedResponse, GrpcService, Method, Middleware, is_compressed},
    metrics::Route,
    observe::CallRecord,
    ops::Operation,
    service::{
        CallContext, ClipGradientsStream, DropoutStream, Messages, NormalizeStream, RawDecoder, Service, TensorStream,
    },
    wire,
};

/// Answers the unary calls; everything else is left to the codec's path, around which this stands.
#[derive(Clone, Debug)]
pub(crate) struct Direct {
    service: Arc<Service>,
    /// All calls but the streams of tensors go through the codec.
    codec_path: bool,
    buffers: Buffers,
    limit: usize,
}

impl Direct {
    /// `limit`: the largest message, in bytes. Requests in several frames are gathered in `buffers`.
    pub(crate) fn new(service: Arc<Service>, codec_path: bool, buffers: Buffers, limit: usize) -> Self {
        Self { service, codec_path, buffers, limit }
    }
}

/// What [`Direct`] stands around.
trait Codec: GrpcService<Future: Send + 'static> + Clone + Send + 'static {}

impl<S: GrpcService<Future: Send + 'static> + Clone + Send + 'static> Codec for S {}

impl<S: Codec> Middleware<S> for Direct {
    fn call(&self, request: Request<Body>, codec: &mut S) -> BoxedResponse {
        if is_compressed(request.headers()) {
            return Box::pin(codec.call(request));
        }
        let service = Arc::clone(&self.service);
        match CallRecord::method_of(request.extensions()) {
            Method::NormalizeStream => self.chunks(service, request, NormalizeStream::new),
            Method::DropoutStream => self.chunks(service, request, DropoutStream::new),
            Method::ClipGradientsStream => self.chunks(service, request, ClipGradientsStream::new),
            _ if self.codec_path => Box::pin(codec.call(request)),
            Method::Normalize => self.normalize(service, request, codec),
            Method::NormalizeBackward => self.unary::<wire::NormalizeBackward, S>(service, request, codec),
            Method::Dropout => self.unary::<wire::Dropout, S>(service, request, codec),
            Method::DropoutBackward => self.unary::<wire::DropoutBackward, S>(service, request, codec),
            Method::ClipGradients => self.unary::<wire::ClipGradients, S>(service, request, codec),
            Method::MeasureGradients => self.measure_gradients(service, request),
            Method::MeasureStatistics => self.measure_statistics(service, request),
            Method::GetServerInfo => self.server_info(service, request, codec),
            Method::HealthCheck
            | Method::HealthWatch
            | Method::ReflectionV1
            | Method::ReflectionV1Alpha
            | Method::Other => Box::pin(codec.call(request)),
        }
    }
}

impl Direct {
    /// One message in, one message out.
    fn unary<O: Operation<Response: Answer>, S: Codec>(
        &self,
        service: Arc<Service>,
        request: Request<Body>,
        codec: &mut S,
    ) -> BoxedResponse {
        let (parts, body) = request.into_parts();
        let call = self.begin(service, parts, codec);
        Box::pin(call.answer::<O>(Incoming::new(body)))
    }

    /// The request has no fields: of a long message, which has what nobody knows, nothing is decoded. Others are the codec's.
    fn server_info<S: Codec>(&self, service: Arc<Service>, request: Request<Body>, codec: &mut S) -> BoxedResponse {
        let (parts, body) = request.into_parts();
        let Call { mut codec, service, buffers, limit, context, parts } = self.begin(service, parts, codec);
        Box::pin(async move {
            let (message, route) = match Incoming::new(body).message(&buffers, limit).await {
                Received::OneFrame(message) => (message, Route::OneFrame),
                Received::Gathered(message, _) => (message, Route::Gathered),
                Received::Other(body) => return codec.call(Request::from_parts(parts, body)).await,
            };
            if !Service::is_heavy(Method::GetServerInfo, &message) {
                return codec.call(Request::from_parts(parts, body_of(message))).await;
            }
            context.record.took(route);
            Ok(respond(service.server_info()))
        })
    }

    /// Any number of messages in, one out.
    fn measure_gradients(&self, service: Arc<Service>, request: Request<Body>) -> BoxedResponse {
        let (context, messages) = self.messages(request);
        Box::pin(async move { Ok(into_http(service.measure_gradients(context, messages).await)) })
    }

    /// As [`measure_gradients`](Self::measure_gradients); the answer may have very many sets, and is encoded on the pool.
    fn measure_statistics(&self, service: Arc<Service>, request: Request<Body>) -> BoxedResponse {
        let (context, messages) = self.messages(request);
        Box::pin(async move {
            let answer = service.measure_statistics(context, messages, respond).await;
            Ok(answer.unwrap_or_else(|error| Status::from(error).into_http()))
        })
    }

    /// Any number of messages in, and out, while they come.
    fn chunks<S: TensorStream>(
        &self,
        service: Arc<Service>,
        request: Request<Body>,
        begin: fn(Arc<Service>, CallContext) -> S,
    ) -> BoxedResponse {
        let (parts, body) = request.into_parts();
        let (context, limit) = (CallContext::of(&parts.extensions), self.limit);
        Box::pin(async move { Ok(chunks::respond(service, context, body, limit, begin).await) })
    }

    /// The messages of a call, which are read as tonic reads them, and decoded where they are computed.
    fn messages<M>(&self, request: Request<Body>) -> (CallContext, Messages<M>) {
        let (parts, body) = request.into_parts();
        let context = CallContext::of(&parts.extensions);
        context.record.took(Route::Codec);
        (context, Messages::Raw(Streaming::new_request(RawDecoder, body, None, Some(self.limit))))
    }

    /// As [`unary`](Self::unary), computing while the message arrives where that can be done.
    fn normalize<S: Codec>(&self, service: Arc<Service>, request: Request<Body>, codec: &mut S) -> BoxedResponse {
        let (parts, body) = request.into_parts();
        let call = self.begin(service, parts, codec);
        Box::pin(async move {
            let mut incoming = Incoming::new(body);
            if incoming.next().await && !incoming.is_whole() {
                // In a box, for a call whose message comes in one frame is short, and would still carry the room for this.
                match Box::pin(arriving::normalize(incoming, &call.service, &call.context, call.limit)).await {
                    Outcome::Answered(response) => return Ok(response),
                    Outcome::Untouched(untouched) => incoming = untouched,
                }
            }
            call.answer::<wire::Normalize>(incoming).await
        })
    }

    /// The one that is ready stays with this call; the clone waits for its own turn.
    fn begin<S: Codec>(&self, service: Arc<Service>, parts: Parts, codec: &mut S) -> Call<S> {
        let clone = codec.clone();
        let codec = std::mem::replace(codec, clone);
        let context = CallContext::of(&parts.extensions);
        Call { codec, service, buffers: self.buffers.clone(), limit: self.limit, context, parts }
    }
}

/// A call whose message is still to be read.
struct Call<S> {
    codec: S,
    service: Arc<Service>,
    buffers: Buffers,
    limit: usize,
    context: CallContext,
    parts: Parts,
}

impl<S: Codec> Call<S> {
    /// Reads the message and answers it, or leaves it to the codec's path.
    async fn answer<O: Operation<Response: Answer>>(self, incoming: Incoming) -> Result<Response<Body>, Infallible> {
        let Self { mut codec, service, buffers, limit, context, parts } = self;
        let (message, loan, route) = match incoming.message(&buffers, limit).await {
            Received::OneFrame(message) => (message, None, Route::OneFrame),
            Received::Gathered(message, loan) => (message, loan, Route::Gathered),
            Received::Other(body) => return codec.call(Request::from_parts(parts, body)).await,
        };
        let record = context.record.clone();
        if Service::is_heavy(record.method(), &message) {
            record.took(route);
            let answer = service.decoded_apart::<O, _>(context, message, loan, respond);
            return Ok(answer.await.unwrap_or_else(|error| Status::from(error).into_http()));
        }
        let decoded = O::Request::decode(message.clone());
        let Ok(answer) = decoded.map(|request| service.unary::<O>(context, request, loan)) else {
            return codec.call(Request::from_parts(parts, body_of(message))).await;
        };
        record.took(route);
        // Only the request's tensors hold its bytes from here on.
        drop(message);
        Ok(into_http(answer.await))
    }
}

fn into_http(answer: Result<impl Answer, Error>) -> Response<Body> {
    answer.map_or_else(|error| Status::from(error).into_http(), respond)
}
