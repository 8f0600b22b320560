//! Clipping in two passes: the gradients are measured, and then clipped by a norm that is known. No server holds more than a chunk.

use std::{io, time::Instant};

use evenkeel_proto::v1 as pb;
use tokio::io::AsyncWrite;

use super::{
    exchange::{Described, Gradients, exchange},
    sinks::Sinks,
};
use crate::{Error, NormPartial, Open, limits::Streamed, measure, stream::Origin};

/// Clips by as few passes as need no memory.
pub(super) async fn clip<O, W, F, N>(
    streamed: Streamed,
    request: pb::ClipGradientsRequest,
    gradients: &mut Gradients<O>,
    sinks: &mut Sinks<W, F>,
) -> Result<pb::ClipGradientsResponse, Error>
where
    O: Open,
    W: AsyncWrite + Unpin,
    F: FnMut(usize) -> N,
    N: Future<Output = io::Result<W>>,
{
    let Gradients { described, origins } = gradients;
    if described.is_empty() || !is_measured(&request) {
        return exchange(&streamed, request, (0, described, origins), sinks).await;
    }
    let began = Instant::now();
    if request.mode() == pb::ClipMode::Norm {
        let norm = measure(&streamed, &request, described, origins).await?;
        let request = pb::ClipGradientsRequest { total_norm: Some(norm.total_norm()), ..request };
        return exchange(&streamed.since(began), request, (0, described, origins), sinks).await;
    }
    // By each tensor's norm: every gradient is a clipping of its own, by the norm of all of it.
    let mut whole: Option<NormPartial> = None;
    let mut answer = pb::ClipGradientsResponse { scale: f64::INFINITY, ..Default::default() };
    for index in 0..described.len() {
        let (described, origins) = (&described[index..=index], &mut origins[index..=index]);
        let norm = measure(&streamed.since(began), &request, described, origins).await?;
        let request = pb::ClipGradientsRequest {
            mode: pb::ClipMode::Norm.into(),
            total_norm: Some(norm.total_norm()),
            ..request.clone()
        };
        let clipped = exchange(&streamed.since(began), request, (index, described, origins), sinks).await;
        let scale = clipped.map_err(|error| of_gradient(error, index))?.scale;
        answer.tensor_norms.push(norm.total_norm());
        answer.scale = if scale.is_nan() || scale < answer.scale { scale } else { answer.scale };
        match &mut whole {
            Some(whole) => {
                whole.merge(&norm).map_err(|error| Error::protocol("partial", error.to_string()))?;
            }
            None => whole = Some(norm),
        }
    }
    answer.total_norm = whole.as_ref().map_or(0.0, NormPartial::total_norm);
    Ok(answer)
}

/// Whether the gradients have to be measured first, and can be.
pub(super) fn is_measured(request: &pb::ClipGradientsRequest) -> bool {
    let merges = [1.0, 2.0, f64::INFINITY].contains(&request.norm_type.unwrap_or(2.0));
    let is_by_norm = matches!(request.mode(), pb::ClipMode::Norm | pb::ClipMode::NormPerTensor);
    is_by_norm && request.total_norm.is_none() && !request.not_above && merges
}

pub(super) async fn measure<O: Open>(
    streamed: &Streamed,
    request: &pb::ClipGradientsRequest,
    described: &[Described],
    origins: &mut [Origin<O>],
) -> Result<NormPartial, Error> {
    let gradients = described.iter().map(|Described { tensor, len }| (tensor.dtype, *len)).zip(origins);
    measure::of_origins(streamed, request.norm_type, gradients).await
}

/// The error of a call with one gradient, as one of all.
fn of_gradient(mut error: Error, index: usize) -> Error {
    if let Error::NonFiniteNorm { elements, .. } = &mut error {
        elements.first.iter_mut().for_each(|(first, _)| *first = index);
    }
    error
}
