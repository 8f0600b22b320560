//! The unary calls without tonic's codec, which copies every payload once on its way out and once on its way in.
//!
//! tonic still makes the call and reads the status of the response. It gets a request without bytes, whose body [`Wire`]
//! replaces with segments, and a response in which an empty message replaces the one that [`Landing`] has taken out of the
//! frames. The frames of a response that is not one plain message reach tonic's codec as they came.

mod landing;
mod method;

use std::{
    collections::VecDeque,
    error::Error,
    fmt::Display,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use evenkeel_frames::{SegmentBody, segments};
use tonic::{
    Request, Status,
    body::Body,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::{
        Service,
        http::{self, uri::PathAndQuery},
    },
};

use self::landing::{Landing, Slot};
pub(crate) use self::method::Method;
use crate::Tensor;

/// The message of a response, and the elements of its last tensor if they have landed: they take the place of its `data`.
#[derive(Debug)]
pub(crate) struct Answer<A> {
    pub(crate) message: A,
    pub(crate) landed: Option<Tensor>,
}

/// The status of an answer with more than the one message that is due.
pub(crate) fn several() -> Status {
    Status::internal("the answer has more than one message")
}

/// A service that takes a request to a server: a channel.
pub(crate) trait Transport:
    Service<
        http::Request<Body>,
        Response = http::Response<Body>,
        Error: Into<Box<dyn Error + Send + Sync>> + Display,
        Future: Send + 'static,
    >
{
}

impl<T> Transport for T
where
    T: Service<http::Request<Body>, Response = http::Response<Body>>,
    T::Error: Into<Box<dyn Error + Send + Sync>> + Display,
    T::Future: Send + 'static,
{
}

/// Makes a call whose response has at most `limit` bytes.
pub(crate) async fn unary<T: Transport, M: Method>(
    channel: T,
    limit: usize,
    request: Request<M>,
) -> Result<Answer<M::Answer>, Status> {
    let (metadata, extensions, mut message) = request.into_parts();
    let tensors = message.take_tensors();
    let slot = Slot::default();
    let segments = segments(&message, tensors).into();
    let wire = Wire::<T, M> { channel, segments: Some(segments), slot: slot.clone(), limit };
    let mut grpc = Grpc::new(wire).max_decoding_message_size(limit);
    // The generated client reports this error with the same text.
    grpc.ready().await.map_err(|error| Status::unknown(format!("Service was not ready: {error}")))?;
    let request = Request::from_parts(metadata, extensions, ());
    let path = PathAndQuery::from_static(M::PATH);
    Ok(grpc.unary(request, path, Lifted::<M> { slot, is_answered: false, method: PhantomData }).await?.into_inner())
}

/// The same as [`unary`] through tonic's codec.
pub(crate) async fn by_codec<T: Transport, M: Method>(
    channel: T,
    limit: usize,
    request: Request<M>,
) -> Result<Answer<M::Answer>, Status> {
    let mut grpc = Grpc::new(channel).max_decoding_message_size(limit);
    grpc.ready().await.map_err(|error| Status::unknown(format!("Service was not ready: {error}")))?;
    let codec = tonic_prost::ProstCodec::default();
    let message = grpc.unary(request, PathAndQuery::from_static(M::PATH), codec).await?.into_inner();
    Ok(Answer { message, landed: None })
}

/// The channel of one call, which replaces the bodies that tonic writes and reads.
struct Wire<T, M: Method> {
    channel: T,
    segments: Option<VecDeque<Bytes>>,
    slot: Slot<M::Answer>,
    limit: usize,
}

impl<T: Transport, M: Method> Service<http::Request<Body>> for Wire<T, M> {
    type Response = http::Response<Body>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, T::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), T::Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let segments = self.segments.take().expect("a call is made once");
        let answer = self.channel.call(request.map(|_| Body::new(SegmentBody::new(segments))));
        let (slot, limit) = (self.slot.clone(), self.limit);
        Box::pin(async move { Ok(answer.await?.map(|body| Body::new(Landing::<M>::new(body, slot, limit)))) })
    }
}

/// A codec that finds the first message in a slot. It decodes other messages as prost does, so that tonic reports the same errors
/// for them.
struct Lifted<M: Method> {
    slot: Slot<M::Answer>,
    is_answered: bool,
    method: PhantomData<fn() -> M>,
}

/// The encoder of requests, which writes nothing: [`Wire`] writes them.
struct Nothing;

impl<M: Method> Codec for Lifted<M> {
    type Encode = ();
    type Decode = Answer<M::Answer>;
    type Encoder = Nothing;
    type Decoder = Self;

    fn encoder(&mut self) -> Nothing {
        Nothing
    }

    fn decoder(&mut self) -> Self {
        Self { slot: self.slot.clone(), is_answered: false, method: PhantomData }
    }
}

impl Encoder for Nothing {
    type Item = ();
    type Error = Status;

    fn encode(&mut self, (): (), _: &mut EncodeBuf<'_>) -> Result<(), Status> {
        Ok(())
    }
}

impl<M: Method> Decoder for Lifted<M> {
    type Item = Answer<M::Answer>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let answer = if let Some(answer) = self.slot.take() {
            Some(answer)
        } else {
            let message = tonic_prost::ProstDecoder::<M::Answer>::default().decode(buffer)?;
            message.map(|message| Answer { message, landed: None })
        };
        // tonic decodes what comes after the first message, and drops it.
        if answer.is_some() && std::mem::replace(&mut self.is_answered, true) {
            return Err(several());
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests;
