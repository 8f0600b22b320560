//! The answers of unary calls and of streams of requests: one message or an error.

use std::{pin::Pin, time::Duration};

use prost_types::Any;
use tokio::time::sleep;
use tokio_stream::Stream;
use tonic::{Response, Status, metadata::MetadataMap};

use crate::{
    metadata::{metadata, request_info, status},
    pb::{self, unary_response_definition::Response as Defined},
};

/// The messages of an answer. Its last item may be a status that is OK, whose metadata are the trailers: tonic lets handlers set them
/// in no other way.
pub(crate) type Answers<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

/// The answer with these headers and items.
pub(crate) fn answered<M: Send + 'static>(
    headers: MetadataMap,
    items: impl Stream<Item = Result<M, Status>> + Send + 'static,
) -> Response<Answers<M>> {
    Response::from_parts(headers, Box::pin(items), Default::default())
}

/// The end of an answer with these trailers.
pub(crate) fn ended(trailers: MetadataMap) -> Status {
    Status::with_metadata(tonic::Code::Ok, "", trailers)
}

/// Answers a call whose answer is one message, which `wrap` makes of its payload.
pub(crate) async fn one<M: Send + 'static>(
    call: &MetadataMap,
    definition: Option<pb::UnaryResponseDefinition>,
    requests: Vec<Any>,
    wrap: fn(Option<pb::ConformancePayload>) -> M,
) -> Result<Response<Answers<M>>, Status> {
    let info = request_info(call, requests);
    let definition = definition.unwrap_or_default();
    let headers = metadata(&definition.response_headers)?;
    let trailers = metadata(&definition.response_trailers)?;
    sleep(Duration::from_millis(definition.response_delay_ms.into())).await;
    let data = match definition.response {
        Some(Defined::Error(error)) => {
            let status = status(error, Some(info), trailers);
            // Without headers the answer is the trailers alone, as that of every call which fails at once.
            return if headers.is_empty() {
                Err(status)
            } else {
                Ok(answered(headers, tokio_stream::once(Err(status))))
            };
        }
        Some(Defined::ResponseData(data)) => data,
        None => Vec::new(),
    };
    let payload = pb::ConformancePayload { data, request_info: Some(info) };
    Ok(answered(headers, tokio_stream::iter([Ok(wrap(Some(payload))), Err(ended(trailers))])))
}
