//! tonic's default echo: the cost of a gRPC service in Rust that computes nothing.
//!
//! One message with one `bytes` field, taken as `Bytes`, decoded and encoded by tonic's own codec. All settings are
//! defaults except the limit on a message, which the larger tensors exceed.

use std::{convert::Infallible, future, net::Ipv4Addr, task};

use bytes::Bytes;
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::BoxFuture,
    server::{Grpc, NamedService, UnaryService},
    transport::{Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::Result;

/// The path of the only method. The router compares only the service's name.
pub(crate) const PATH: &str = "/echo.Echo/Unary";

/// The request and the response.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) data: Bytes,
}

/// Serves until it is killed.
pub(crate) fn serve() -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let incoming = TcpIncoming::bind((Ipv4Addr::LOCALHOST, 0).into())?.with_nodelay(Some(true));
        println!("listening on {}", incoming.local_addr()?);
        Ok(Server::builder().add_service(Echo).serve_with_incoming(incoming).await?)
    })
}

#[derive(Clone, Copy, Debug)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "echo.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<std::result::Result<(), Infallible>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async {
            let codec = ProstCodec::<Payload, Payload>::default();
            Ok(Grpc::new(codec).max_decoding_message_size(usize::MAX).unary(Echo, request).await)
        })
    }
}

impl UnaryService<Payload> for Echo {
    type Response = Payload;
    type Future = future::Ready<std::result::Result<Response<Payload>, Status>>;

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        future::ready(Ok(Response::new(request.into_inner())))
    }
}
