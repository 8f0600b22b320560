//! The methods that stream tensors.

use bytes::Bytes;
use evenkeel_proto::v1::{self as pb, tensor_ops_service_client::TensorOpsServiceClient};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::reset::ResetsIncomplete;

/// A method, by the generated client.
pub(crate) trait Method {
    type Request: Send + 'static;
    type Response: Send + 'static;

    /// A message with the next bytes of a tensor.
    fn data(bytes: Bytes) -> Self::Request;

    /// Makes the call.
    fn call(
        stub: TensorOpsServiceClient<ResetsIncomplete>,
        request: Request<ReceiverStream<Self::Request>>,
    ) -> impl Future<Output = Result<Response<Streaming<Self::Response>>, Status>> + Send;
}

macro_rules! method {
    ($name:ident: $function:ident, $module:ident, $request:ident => $response:ident) => {
        #[doc = concat!("The method ", stringify!($name), ".")]
        pub(crate) enum $name {}

        impl Method for $name {
            type Request = pb::$request;
            type Response = pb::$response;

            fn data(bytes: Bytes) -> pb::$request {
                pb::$request { part: Some(pb::$module::Part::Data(bytes)) }
            }

            async fn call(
                mut stub: TensorOpsServiceClient<ResetsIncomplete>,
                request: Request<ReceiverStream<pb::$request>>,
            ) -> Result<Response<Streaming<pb::$response>>, Status> {
                stub.$function(request).await
            }
        }
    };
}

method!(DropoutStream: dropout_stream, dropout_stream_request, DropoutStreamRequest => DropoutStreamResponse);
method!(NormalizeStream:
    normalize_stream, normalize_stream_request, NormalizeStreamRequest => NormalizeStreamResponse);
method!(ClipGradientsStream:
    clip_gradients_stream, clip_gradients_stream_request, ClipGradientsStreamRequest => ClipGradientsStreamResponse);
