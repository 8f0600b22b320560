//! Gradients in memory that are too large for a message.

use std::{future::Ready, io, time::Instant};

use evenkeel_proto::v1 as pb;

use super::{
    exchange::{Described, Gradients, exchange},
    passes,
    sinks::Sinks,
};
use crate::{
    Error,
    codec::Received,
    limits::Streamed,
    stream::{Nothing, Nowhere, Origin},
};

/// No writer is made.
type NoWriters = fn(usize) -> Ready<io::Result<Nowhere>>;

/// Clips the gradients of a request by a stream, in two passes if the server asks for them. Returns the answer without gradients,
/// and these beside it.
pub(super) async fn clip(
    streamed: Streamed,
    mut request: pb::ClipGradientsRequest,
) -> Result<(pb::ClipGradientsResponse, Vec<Received>), Error> {
    let began = Instant::now();
    let gradients = std::mem::take(&mut request.gradients);
    let (described, origins): (Vec<_>, Vec<_>) = gradients
        .into_iter()
        .map(|mut tensor| {
            let data = std::mem::take(&mut tensor.data);
            (Described { tensor, len: data.len() as u64 }, Origin::<Nothing>::Bytes(data))
        })
        .unzip();
    let mut gradients = Gradients { described, origins };
    let mut sinks = Sinks::<Nowhere, NoWriters>::Arrays(Vec::new());
    let Gradients { described, origins } = &mut gradients;
    let answer = match exchange(&streamed, request.clone(), (0, described, origins), &mut sinks).await {
        Err(Error::NeedsTwoPasses { .. }) if passes::is_measured(&request) => {
            sinks = Sinks::Arrays(Vec::new());
            passes::clip(streamed.since(began), request, &mut gradients, &mut sinks).await?
        }
        answer => answer?,
    };
    let Sinks::Arrays(tensors) = sinks else { unreachable!("they are arrays") };
    let received = gradients.described.into_iter().zip(tensors);
    let received = received.map(|(Described { tensor, .. }, landed)| Received { tensor, landed: Some(landed) });
    Ok((answer, received.collect()))
}
