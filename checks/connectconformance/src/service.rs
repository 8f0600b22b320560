//! The suite's service, as tonic's router takes it.
//!
//! The code that tonic generates for a service has no place for the trailers of an answer, so the methods are bound here.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    codegen::http,
    server::{Grpc, NamedService},
};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

use crate::{
    answers::{Answers, one},
    metadata::any,
    pb, streams,
};

/// Answers as the definition in each request says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conformance {
    /// The largest message of a request, in bytes.
    pub(crate) max_message_bytes: usize,
}

impl NamedService for Conformance {
    const NAME: &'static str = "connectrpc.conformance.v1.ConformanceService";
}

impl Service<http::Request<Body>> for Conformance {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let limit = self.max_message_bytes;
        Box::pin(async move {
            Ok(match request.uri().path().rsplit('/').next() {
                Some("Unary") => grpc(limit).server_streaming(service_fn(unary), request).await,
                Some("IdempotentUnary") => grpc(limit).server_streaming(service_fn(idempotent_unary), request).await,
                Some("ServerStream") => grpc(limit).server_streaming(service_fn(server_stream), request).await,
                Some("ClientStream") => grpc(limit).streaming(service_fn(client_stream), request).await,
                Some("BidiStream") => grpc(limit).streaming(service_fn(bidi_stream), request).await,
                Some(_) | None => Status::unimplemented("the method is not implemented").into_http(),
            })
        })
    }
}

fn grpc<Q, A>(limit: usize) -> Grpc<ProstCodec<A, Q>>
where
    Q: prost::Message + Default + Send + 'static,
    A: prost::Message + Send + 'static,
{
    Grpc::new(ProstCodec::default()).max_decoding_message_size(limit)
}

async fn unary(request: Request<pb::UnaryRequest>) -> Result<Response<Answers<pb::UnaryResponse>>, Status> {
    let (call, _, request) = request.into_parts();
    let requests = vec![any(&request)];
    one(&call, request.response_definition, requests, |payload| pb::UnaryResponse { payload }).await
}

async fn idempotent_unary(
    request: Request<pb::IdempotentUnaryRequest>,
) -> Result<Response<Answers<pb::IdempotentUnaryResponse>>, Status> {
    let (call, _, request) = request.into_parts();
    let requests = vec![any(&request)];
    one(&call, request.response_definition, requests, |payload| pb::IdempotentUnaryResponse { payload }).await
}

async fn client_stream(
    request: Request<Streaming<pb::ClientStreamRequest>>,
) -> Result<Response<Answers<pb::ClientStreamResponse>>, Status> {
    let (call, _, mut messages) = request.into_parts();
    let (mut definition, mut requests) = (None, Vec::new());
    while let Some(mut request) = messages.message().await? {
        requests.push(any(&request));
        if requests.len() == 1 {
            definition = request.response_definition.take();
        }
    }
    one(&call, definition, requests, |payload| pb::ClientStreamResponse { payload }).await
}

async fn server_stream(
    request: Request<pb::ServerStreamRequest>,
) -> Result<Response<Answers<pb::ServerStreamResponse>>, Status> {
    let (call, _, request) = request.into_parts();
    streams::server_stream(call, request).await
}

async fn bidi_stream(
    request: Request<Streaming<pb::BidiStreamRequest>>,
) -> Result<Response<Answers<pb::BidiStreamResponse>>, Status> {
    let (call, _, requests) = request.into_parts();
    streams::bidi_stream(call, requests).await
}
