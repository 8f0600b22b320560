//! A service that answers whatever a test wants.

use std::{error::Error, net::Ipv4Addr, pin::Pin};

use evenkeel_client::Client;
use evenkeel_proto::v1::{
    self as pb,
    tensor_ops_service_server::{TensorOpsService, TensorOpsServiceServer},
};
use tokio::net::TcpListener;
use tokio_stream::Stream;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Server, server::TcpIncoming},
};

use crate::until::within;

/// How one call is answered.
type Answer<Q, A> = Box<dyn Fn(Q) -> Result<A, Status> + Send + Sync>;

/// The messages of a stream's response.
pub(crate) type Messages<A> = Pin<Box<dyn Stream<Item = Result<A, Status>> + Send>>;

/// How every call is answered.
pub(crate) struct Fake {
    pub(crate) normalize: Answer<pb::NormalizeRequest, pb::NormalizeResponse>,
    pub(crate) normalize_backward: Answer<pb::NormalizeBackwardRequest, pb::NormalizeBackwardResponse>,
    pub(crate) dropout: Answer<pb::DropoutRequest, pb::DropoutResponse>,
    pub(crate) dropout_backward: Answer<pb::DropoutBackwardRequest, pb::DropoutBackwardResponse>,
    pub(crate) clip_gradients: Answer<pb::ClipGradientsRequest, pb::ClipGradientsResponse>,
    /// Gets all messages of the call.
    pub(crate) measure_gradients: Answer<Vec<pb::MeasureGradientsRequest>, pb::MeasureGradientsResponse>,
    pub(crate) dropout_stream: Answer<Streaming<pb::DropoutStreamRequest>, Messages<pb::DropoutStreamResponse>>,
    pub(crate) normalize_stream: Answer<Streaming<pb::NormalizeStreamRequest>, Messages<pb::NormalizeStreamResponse>>,
    pub(crate) clip_gradients_stream:
        Answer<Streaming<pb::ClipGradientsStreamRequest>, Messages<pb::ClipGradientsStreamResponse>>,
    pub(crate) get_server_info: Answer<pb::GetServerInfoRequest, pb::GetServerInfoResponse>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            normalize: Box::new(unimplemented),
            normalize_backward: Box::new(unimplemented),
            dropout: Box::new(unimplemented),
            dropout_backward: Box::new(unimplemented),
            clip_gradients: Box::new(unimplemented),
            measure_gradients: Box::new(unimplemented),
            dropout_stream: Box::new(unimplemented),
            normalize_stream: Box::new(unimplemented),
            clip_gradients_stream: Box::new(unimplemented),
            get_server_info: Box::new(unimplemented),
        }
    }
}

fn unimplemented<Q, A>(_: Q) -> Result<A, Status> {
    Err(Status::unimplemented("not this one"))
}

impl Fake {
    /// A client of a server that answers so. The server lives as long as the test's runtime.
    pub(crate) async fn start(self) -> Result<Client, Box<dyn Error>> {
        Ok(Client::connect(self.url().await?).await?)
    }

    /// Where such a server is.
    pub(crate) async fn url(self) -> Result<String, Box<dyn Error>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let service = TensorOpsServiceServer::new(self);
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(listener)));
        Ok(url)
    }
}

#[tonic::async_trait]
impl TensorOpsService for Fake {
    async fn normalize(
        &self,
        request: Request<pb::NormalizeRequest>,
    ) -> Result<Response<pb::NormalizeResponse>, Status> {
        (self.normalize)(request.into_inner()).map(Response::new)
    }

    async fn normalize_backward(
        &self,
        request: Request<pb::NormalizeBackwardRequest>,
    ) -> Result<Response<pb::NormalizeBackwardResponse>, Status> {
        (self.normalize_backward)(request.into_inner()).map(Response::new)
    }

    async fn dropout(&self, request: Request<pb::DropoutRequest>) -> Result<Response<pb::DropoutResponse>, Status> {
        (self.dropout)(request.into_inner()).map(Response::new)
    }

    async fn dropout_backward(
        &self,
        request: Request<pb::DropoutBackwardRequest>,
    ) -> Result<Response<pb::DropoutBackwardResponse>, Status> {
        (self.dropout_backward)(request.into_inner()).map(Response::new)
    }

    async fn clip_gradients(
        &self,
        request: Request<pb::ClipGradientsRequest>,
    ) -> Result<Response<pb::ClipGradientsResponse>, Status> {
        (self.clip_gradients)(request.into_inner()).map(Response::new)
    }

    async fn measure_gradients(
        &self,
        request: Request<Streaming<pb::MeasureGradientsRequest>>,
    ) -> Result<Response<pb::MeasureGradientsResponse>, Status> {
        let mut stream = request.into_inner();
        let mut messages = Vec::new();
        while let Some(message) = within("the client goes on, or ends its stream", stream.message()).await? {
            messages.push(message);
        }
        (self.measure_gradients)(messages).map(Response::new)
    }

    async fn measure_statistics(
        &self,
        _: Request<Streaming<pb::MeasureStatisticsRequest>>,
    ) -> Result<Response<pb::StatisticsPartial>, Status> {
        Err(Status::unimplemented("no test asks for it"))
    }

    async fn measure_gradients_unary(
        &self,
        _: Request<pb::MeasureGradientsRequest>,
    ) -> Result<Response<pb::MeasureGradientsResponse>, Status> {
        Err(Status::unimplemented("no test asks for it"))
    }

    async fn measure_statistics_unary(
        &self,
        _: Request<pb::MeasureStatisticsRequest>,
    ) -> Result<Response<pb::StatisticsPartial>, Status> {
        Err(Status::unimplemented("no test asks for it"))
    }

    type NormalizeStreamStream = Messages<pb::NormalizeStreamResponse>;

    async fn normalize_stream(
        &self,
        request: Request<Streaming<pb::NormalizeStreamRequest>>,
    ) -> Result<Response<Self::NormalizeStreamStream>, Status> {
        (self.normalize_stream)(request.into_inner()).map(Response::new)
    }

    type ClipGradientsStreamStream = Messages<pb::ClipGradientsStreamResponse>;

    async fn clip_gradients_stream(
        &self,
        request: Request<Streaming<pb::ClipGradientsStreamRequest>>,
    ) -> Result<Response<Self::ClipGradientsStreamStream>, Status> {
        (self.clip_gradients_stream)(request.into_inner()).map(Response::new)
    }

    type DropoutStreamStream = Messages<pb::DropoutStreamResponse>;

    async fn dropout_stream(
        &self,
        request: Request<Streaming<pb::DropoutStreamRequest>>,
    ) -> Result<Response<Self::DropoutStreamStream>, Status> {
        (self.dropout_stream)(request.into_inner()).map(Response::new)
    }

    async fn get_server_info(
        &self,
        request: Request<pb::GetServerInfoRequest>,
    ) -> Result<Response<pb::GetServerInfoResponse>, Status> {
        (self.get_server_info)(request.into_inner()).map(Response::new)
    }
}
