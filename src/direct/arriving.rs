//! Normalizing a tensor while its frames arrive.
//!
//! The fields before the tensor's bytes describe the normalization. If it can be computed part by part, each part is normalized
//! when its bytes have come and are still in a cache. Its result is sent while other parts come, unless the answer has
//! statistics, which precede the output and depend on all parts. All other requests, also those that are not valid, are left
//! to the other routes.

use evenkeel_frames::{Announced, HEAD_FRAMES, PREFIX};
use std::sync::Arc;

use tonic::{Status, body::Body, codegen::http::Response};

use super::{
    answer::{opening, respond_in_parts},
    following,
    head::Head,
    reading::Reading,
    receive::Incoming,
};
use crate::{
    grpc::Method,
    metrics::Route,
    service::{Arriving, CallContext, Service},
};

/// The outcome of trying to answer a request while it arrives.
pub(super) enum Outcome {
    /// The response has begun, or is complete.
    Answered(Response<Body>),
    /// The request must be received as a whole. All frames that were read are still in it.
    Untouched(Incoming),
}

/// Answers a request while it arrives, if that is possible. The first frame may have been read before. `limit` is the length of the
/// longest message, in bytes.
pub(super) async fn normalize(
    mut incoming: Incoming,
    service: &Arc<Service>,
    context: &CallContext,
    limit: usize,
) -> Outcome {
    let Some((prefix, arriving)) = begin(&mut incoming, service, context, limit).await else {
        return Outcome::Untouched(incoming);
    };
    let foreseen = arriving.foreseen().map(|answer| opening(answer, arriving.data_len()));
    context.record.took(if foreseen.is_some() { Route::Streamed } else { Route::Collected });
    let reading = Reading { incoming, prefix, arriving, limit };
    Outcome::Answered(match foreseen {
        Some(opening) => following::respond(opening, reading, context.record.clone()).await,
        None => {
            let mut parts = Vec::new();
            let answer = reading.run(|part| parts.push(part)).await;
            answer.map_or_else(|error| Status::from(error).into_http(), |answer| respond_in_parts(answer, parts))
        }
    })
}

/// Reads the fields before the tensor's bytes, and begins the normalization. The answer is `None` if the request must be received
/// as a whole.
async fn begin(
    incoming: &mut Incoming,
    service: &Arc<Service>,
    context: &CallContext,
    limit: usize,
) -> Option<(Announced, Arriving)> {
    for _ in 0..HEAD_FRAMES {
        if let Some((prefix, message)) = incoming.message_so_far() {
            let len = prefix.len();
            if prefix.is_compressed() || len > limit || message.len() >= len {
                return None;
            }
            // Very many dimensions or unknown fields: a message that is whole is decoded on the pool.
            if Service::is_heavy(Method::Normalize, &message) {
                return None;
            }
            if let Some(head) = Head::parse(&message, len) {
                let arriving = service.normalize_arriving(context, head.request, head.data_len)?;
                incoming.skip(PREFIX + head.len);
                return Some((prefix, arriving));
            }
        }
        if !incoming.next().await {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests;
