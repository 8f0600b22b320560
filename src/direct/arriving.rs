//! Normalizing a tensor while its frames arrive.
//!
//! What comes before the tensor's bytes says what is to be done with them. If that can be done part by part, each part is
//! normalized when its bytes are there and still in a cache, and the answer's part goes out while others come, unless
//! something that precedes it, the statistics, is made of all of them. Everything else, and everything that is wrong, is
//! left to the other ways.

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
    metrics::Route,
    service::{Arriving, CallContext, Service},
};

/// What has become of a request.
pub(super) enum Outcome {
    /// It is being answered.
    Answered(Response<Body>),
    /// It is to be received as a whole; nothing is lost of what was read.
    Untouched(Incoming),
}

/// Answers a request while it arrives, if it is one that can be; its first frame may have been read.
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

/// Reads what comes before the tensor's bytes.
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
