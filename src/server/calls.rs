//! The calls of one connection: their records, reservations and bodies.

mod bare;
mod frames;
mod guard;
mod request_body;
mod response;

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use evenkeel_transport::{ConnectionHandle, MakeService, MinRateTimeout, Turn, Version};
use http_body::Body as HttpBody;
use http_body_util::Either;
use hyper::body::Incoming;
use tonic::{
    body::Body,
    codegen::http::{HeaderMap, Request, Response},
};
use tower::Service;

use self::{bare::Gathered, frames::Frames, request_body::RequestBody};
pub(super) use self::{
    guard::{CallGuard, HeldBody},
    response::{ResponseBody, ResponseFuture},
};
use super::{
    admission::{ConnectionShare, Kind, StreamCharge, TEXT},
    body_error::TransportError,
    carried::Carried,
    compression::{Account, Compression, Decompressed, is_accepted},
    protocol::{AsJson, Bare, NoCall, Refused},
};
use crate::{
    budget::{Budget, Portion, Reservation},
    counters::Counters,
    grpc::BoxError,
    observe::{Recorder, Responding},
};

/// The settings that the calls of all connections share.
#[derive(Debug)]
pub(super) struct CallSettings<S> {
    pub(super) service: S,
    pub(super) counters: Arc<Counters>,
    /// Makes the record of each call.
    pub(super) recorder: Recorder,
    pub(super) budget: Budget,
    /// `None`: messages are plain.
    pub(super) compression: Option<Compression>,
    /// How long a call waits for its client to send; zero: for ever.
    pub(super) body_timeout: Duration,
    /// The largest frame of a request, in bytes.
    pub(super) max_frame_bytes: usize,
    /// The calls of a guest; `None`: there is no guest.
    pub(super) carried: Option<Carried>,
}

/// Makes a [`CallService`] for each connection.
#[derive(Debug)]
pub(super) struct MakeCallService<S>(Arc<CallSettings<S>>);

impl<S> MakeCallService<S> {
    pub(super) fn new(settings: CallSettings<S>) -> Self {
        Self(Arc::new(settings))
    }
}

impl<S: Send + Sync + 'static> MakeService for MakeCallService<S> {
    type Service = CallService<S>;

    fn make_service(&self, connection: &Arc<ConnectionHandle>, _: Version) -> CallService<S> {
        CallService { settings: Arc::clone(&self.0), connection: Arc::clone(connection), share: Arc::default() }
    }
}

/// Answers the calls of one connection.
#[derive(Debug)]
pub(super) struct CallService<S> {
    settings: Arc<CallSettings<S>>,
    connection: Arc<ConnectionHandle>,
    /// The share that the connection's first streams are charged to.
    share: Arc<ConnectionShare>,
}

impl<S> Clone for CallService<S> {
    fn clone(&self) -> Self {
        Self {
            settings: Arc::clone(&self.settings),
            connection: Arc::clone(&self.connection),
            share: Arc::clone(&self.share),
        }
    }
}

impl<S> hyper::service::Service<Request<Incoming>> for CallService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
    S::Future: Unpin,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.begin(request)
    }
}

impl<S> CallService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    /// Begins to answer a request whose body is gRPC's, not gRPC-Web's.
    pub(super) fn begin<B>(&self, request: Request<B>) -> ResponseFuture<S::Future>
    where
        B: HttpBody<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let CallSettings { service, counters, recorder, budget, compression, body_timeout, max_frame_bytes, carried } =
            &*self.settings;
        let (mut head, body) = request.into_parts();
        let transport = head.extensions.remove::<TransportError>();
        let (record, guard) = recorder.begin(head.uri.path(), &head.headers);
        let method = record.method();
        let of_guest = carried.as_ref().and_then(|carried| carried.kind(head.uri.path()));
        let kind = of_guest.unwrap_or_else(|| Kind::of(method));
        if let Some(kind) = of_guest {
            head.extensions.insert(kind);
        }
        let no_call = head.extensions.remove().or_else(|| NoCall::of(&head.method, &head.headers));
        let mut over = false;
        let charge =
            StreamCharge::new(kind, head.uri.path(), &head.headers, &self.share, counters).unwrap_or_else(|error| {
                // Nothing of a refused request is kept.
                (head.headers, over) = (HeaderMap::new(), true);
                head.extensions.insert(Refused(error));
                StreamCharge::Refused
            });
        if let Some(no_call) = no_call {
            head.extensions.insert(no_call);
        }
        let encoding = compression.as_ref().filter(|_| no_call.is_none());
        let encoding = encoding.and_then(|compression| compression.take(&mut head.headers));
        let budget = if kind.is_question() { Budget::QUESTIONS } else { *budget };
        let reservation = Reservation::new(counters, budget);
        // The services reserve from it the memory that the call needs beyond its messages.
        head.extensions.insert(Arc::clone(&reservation));
        let call = CallGuard::new(charge, Arc::clone(&reservation));
        let is_json = head.extensions.get::<AsJson>().is_some();
        let bare = head.extensions.remove::<Bare>().filter(|_| no_call.is_none());
        let counted = || {
            let are_decompressed = encoding.is_some();
            if is_json { budget.texts(are_decompressed) } else { budget.messages(kind, method, are_decompressed) }
        };
        // A request that is no call has no messages.
        let messages = no_call.is_none().then(|| if bare.is_some() { budget.uncounted() } else { counted() });
        let body = RequestBody {
            body,
            transport,
            timeout: MinRateTimeout::new(*body_timeout),
            messages,
            held: Portion::new(&reservation),
            // A stream of tensors whose first frames are short is not refused later because others have taken the budget.
            frames: Frames::new(
                &reservation,
                head.extensions.remove(),
                if kind == Kind::Streamed { *max_frame_bytes } else { 0 },
            ),
            _guard: Arc::clone(&call),
            connection: Arc::clone(&self.connection),
            counters: Arc::clone(counters),
            record: record.clone(),
            rest: VecDeque::new(),
            turn: Turn::new(usize::MAX),
            // Compressed messages are counted after they are decompressed.
            is_plain: encoding.is_none(),
            over,
        };
        let body = match bare {
            Some(Bare { is_compressed }) => {
                let portions = [(); 2].map(|()| Portion::new(&reservation));
                Either::Left(Gathered::new(body, is_compressed, budget.max_message(), counted(), portions))
            }
            None => Either::Right(body),
        };
        let body = match encoding {
            Some(encoding) => {
                let account = Account {
                    held: Portion::new(&reservation),
                    times: if is_json { 1 } else { kind.times() },
                    limit: budget.max_message(),
                    method: if is_json { TEXT } else { method },
                    record: record.clone(),
                };
                Body::new(Decompressed::new(body, encoding, account))
            }
            None => Body::new(body),
        };
        // Answers of health and reflection are too short to be compressed.
        let encoding = encoding.filter(|&encoding| !kind.is_question() && is_accepted(&head.headers, encoding));
        head.extensions.insert(record);
        let request = Request::from_parts(head, body);
        // The service is a router, which is always ready.
        let response = Responding::begin(guard, || service.clone().call(request));
        let compression = compression.clone().map(|compression| (compression, encoding));
        ResponseFuture::new(response, compression, call, Arc::clone(&self.connection))
    }
}
