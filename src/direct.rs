//! The calls of the tensor service without tonic's codec, which copies every payload once on its way in and once on its way out.
//!
//! The frames of a request are read as they are: a message that came in one frame is not copied, and a tensor that can be
//! normalized in parts is normalized while it arrives. An answer goes out as a short header and then the payload, as
//! segments. The error of a unary request that is not one plain message (a message is marked as compressed, is too long or cut, or
//! there is none, or several) comes from tonic's decoder, which gets the frames again (`fault.rs`).
//!
//! A message takes one of six routes, which `evenkeel_routes_total` counts. `tests/service/routes.rs` takes all of them.
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
//! | `codec` | MeasureGradients, MeasureStatistics, all but `chunks` with `--codec-path` | as `one_frame` | to a new buffer |
//! | `chunks` | the messages of a stream of tensors | while they come, also within a message; parts as `streamed` | chunk by chunk, to buffers that are sent when the client takes them |
//!
//! "Inline" is on the thread that serves, for work that is expected to take less than 70 us (`executor.rs`): `--threads`,
//! `--compute-nice` and `--max-queued` hold for the pool alone. A part of a `streamed` or `collected` call has at most some 32,768
//! elements, or a row if that is longer. A part of so many float32 takes some 13 us and handing it to the pool 20, so it is done
//! inline, and after each 70 us of such parts the thread serves other calls. Rows of more than some 180,000 elements take longer
//! than 70 us and go to the pool one after the other. `--max-queued` can refuse such a call at the first part that goes to the
//! pool, and not later.

mod answer;
mod arriving;
mod chunks;
mod fault;
mod following;
mod head;
mod parts;
mod reading;
mod receive;

pub use self::head::normalize_head;

use std::sync::Arc;

use bytes::Bytes;
use evenkeel_proto::v1 as pb;
use prost::Message as _;
use tonic::{
    Status,
    body::Body,
    codegen::http::{Request, Response},
};

use self::{
    answer::{Answer, respond},
    arriving::Outcome,
    fault::fault,
    receive::{Incoming, Received},
};
use crate::{
    buffers::Buffers,
    error::Error,
    grpc::{BoxedResponse, GrpcService, Method, Middleware, is_compressed},
    metrics::Route,
    observe::CallRecord,
    ops::Operation,
    service::{
        CallContext, ClipGradientsStream, DropoutStream, Messages, NormalizeStream, Separated, Service, TensorStream,
    },
    wire,
};

/// The middleware around the codec's path: it answers the calls of the tensor service, and leaves to that path the calls of other
/// services, and requests in an encoding that the server does not accept.
#[derive(Clone, Debug)]
pub(crate) struct Direct {
    service: Arc<Service>,
    /// All calls but the streams of tensors go through the codec.
    codec_path: bool,
    buffers: Buffers,
    limit: usize,
}

impl Direct {
    /// `codec_path` sends all calls but the streams of tensors through the codec. Requests in several frames are gathered in
    /// `buffers`. `limit` is the length of the longest message, in bytes.
    pub(crate) fn new(service: Arc<Service>, codec_path: bool, buffers: Buffers, limit: usize) -> Self {
        Self { service, codec_path, buffers, limit }
    }
}

/// The codec's path, as the inner service of [`Direct`].
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
            Method::Normalize => self.normalize(service, request),
            Method::NormalizeBackward => self.unary::<wire::NormalizeBackward>(service, request),
            Method::Dropout => self.unary::<wire::Dropout>(service, request),
            Method::DropoutBackward => self.unary::<wire::DropoutBackward>(service, request),
            Method::ClipGradients => self.unary::<wire::ClipGradients>(service, request),
            Method::MeasureGradients => self.measure_gradients(service, request),
            Method::MeasureStatistics => self.measure_statistics(service, request),
            Method::MeasureGradientsUnary => self.measure_gradients_unary(service, request),
            Method::MeasureStatisticsUnary => self.measure_statistics_unary(service, request),
            Method::GetServerInfo => self.server_info(service, request),
            Method::HealthCheck
            | Method::HealthWatch
            | Method::ReflectionV1
            | Method::ReflectionV1Alpha
            | Method::Other => Box::pin(codec.call(request)),
        }
    }
}

impl Direct {
    /// Answers a call whose request and answer are one message each.
    fn unary<O: Operation<Response: Answer>>(&self, service: Arc<Service>, request: Request<Body>) -> BoxedResponse {
        let (call, body) = self.begin(service, request);
        Box::pin(async move { Ok(call.answer::<O>(Incoming::new(body)).await) })
    }

    /// Answers GetServerInfo. Its request has no fields, so a message that takes long to decode has only unknown ones: it is
    /// answered without being decoded.
    fn server_info(&self, service: Arc<Service>, request: Request<Body>) -> BoxedResponse {
        let (call, body) = self.begin(service, request);
        let answer = async move {
            let (service, _context, message) = call.message(body).await?;
            if !Service::is_heavy(Method::GetServerInfo, &message) {
                pb::GetServerInfoRequest::decode(message).map_err(|error| Error::undecodable(&error))?;
            }
            Ok(service.server_info())
        };
        Box::pin(async move { Ok(answer.await.map_or_else(refused, respond)) })
    }

    /// Answers MeasureGradients, whose request is any number of messages.
    fn measure_gradients(&self, service: Arc<Service>, request: Request<Body>) -> BoxedResponse {
        let (context, messages) = self.messages(request);
        Box::pin(async move { Ok(service.measure_gradients(context, messages).await.map_or_else(refused, respond)) })
    }

    /// Answers MeasureStatistics, whose request is any number of messages. The answer may have very many sets, so it is encoded
    /// where it is computed.
    fn measure_statistics(&self, service: Arc<Service>, request: Request<Body>) -> BoxedResponse {
        let (context, messages) = self.messages(request);
        Box::pin(async move {
            let answer = service.measure_statistics(context, messages, respond).await;
            Ok(answer.unwrap_or_else(refused))
        })
    }

    /// Answers MeasureGradientsUnary.
    fn measure_gradients_unary(&self, service: Arc<Service>, request: Request<Body>) -> BoxedResponse {
        let (call, body) = self.begin(service, request);
        let answer = async move {
            let (service, context, message) = call.message(body).await?;
            service.measure_gradients(context, Messages::one(message)).await
        };
        Box::pin(async move { Ok(answer.await.map_or_else(refused, respond)) })
    }

    /// Answers MeasureStatisticsUnary.
    fn measure_statistics_unary(&self, service: Arc<Service>, request: Request<Body>) -> BoxedResponse {
        let (call, body) = self.begin(service, request);
        let answer = async move {
            let (service, context, message) = call.message(body).await?;
            service.measure_statistics(context, Messages::one(message), respond).await
        };
        Box::pin(async move { Ok(answer.await.unwrap_or_else(refused)) })
    }

    /// Answers a stream of tensors while its messages come.
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

    /// The messages of a call, which the service decodes.
    fn messages<M>(&self, request: Request<Body>) -> (CallContext, Messages<M>) {
        let (parts, body) = request.into_parts();
        let context = CallContext::of(&parts.extensions);
        context.record.took(Route::Codec);
        (context, Messages::Raw(Separated::new(body, self.limit)))
    }

    /// Answers Normalize: while the message arrives if that is possible, or else as [`unary`](Self::unary).
    fn normalize(&self, service: Arc<Service>, request: Request<Body>) -> BoxedResponse {
        let (call, body) = self.begin(service, request);
        Box::pin(async move {
            let mut incoming = Incoming::new(body);
            if incoming.next().await && !incoming.is_whole() {
                // In a box: otherwise the futures of all calls would be larger, also of short calls whose message is one frame.
                match Box::pin(arriving::normalize(incoming, &call.service, &call.context, call.limit)).await {
                    Outcome::Answered(response) => return Ok(response),
                    Outcome::Untouched(untouched) => incoming = untouched,
                }
            }
            Ok(call.answer::<wire::Normalize>(incoming).await)
        })
    }

    fn begin(&self, service: Arc<Service>, request: Request<Body>) -> (Call, Body) {
        let (parts, body) = request.into_parts();
        let context = CallContext::of(&parts.extensions);
        (Call { service, buffers: self.buffers.clone(), limit: self.limit, context }, body)
    }
}

/// A call whose message is still to be read.
struct Call {
    service: Arc<Service>,
    buffers: Buffers,
    limit: usize,
    context: CallContext,
}

impl Call {
    /// Reads the message, for calls that do without a loan of its buffer.
    ///
    /// # Errors
    /// Those of [`fault`].
    async fn message(self, body: Body) -> Result<(Arc<Service>, CallContext, Bytes), Error> {
        let Self { service, buffers, limit, context } = self;
        let (message, route) = match Incoming::new(body).message(&buffers, limit).await {
            Received::OneFrame(message) => (message, Route::OneFrame),
            Received::Gathered(message, _) => (message, Route::Gathered),
            Received::NotOne(body) => return Err(fault(body, limit).await),
        };
        context.record.took(route);
        Ok((service, context, message))
    }

    /// Reads the message and answers it.
    async fn answer<O: Operation<Response: Answer>>(self, incoming: Incoming) -> Response<Body> {
        let Self { service, buffers, limit, context } = self;
        let (message, loan, route) = match incoming.message(&buffers, limit).await {
            Received::OneFrame(message) => (message, None, Route::OneFrame),
            Received::Gathered(message, loan) => (message, loan, Route::Gathered),
            Received::NotOne(body) => return refused(fault(body, limit).await),
        };
        context.record.took(route);
        if Service::is_heavy(context.record.method(), &message) {
            let answer = service.decoded_apart::<O, _>(context, message, loan, respond);
            return answer.await.unwrap_or_else(refused);
        }
        // The bytes of the message belong to the request's tensors alone from here on.
        match O::Request::decode(message) {
            Ok(request) => service.unary::<O>(context, request, loan).await.map_or_else(refused, respond),
            Err(error) => refused(Error::undecodable(&error)),
        }
    }
}

fn refused(error: Error) -> Response<Body> {
    Status::from(error).into_http()
}
