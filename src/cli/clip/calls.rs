//! The calls that measure and clip, parcel by parcel.

use std::sync::Arc;

use bytes::Bytes;
use evenkeel_client::{DType, NormPartial};
use evenkeel_proto::v1 as pb;

use super::{Clipped, Totals};
use crate::cli::{
    files::{Stored, element},
    pieces::{MAX_RANK, Part},
    progress::Progress,
    run::{self, Comparison, Destination, Failure, Tell},
    session::Calls,
    tasks::{all, blocking},
};

/// The parts of gradients in one message.
pub(super) type Parcel = Vec<Part>;

/// The gradients, and what is needed to send them.
pub(super) struct Gradients {
    pub(super) tensors: Vec<(Stored, DType, Destination)>,
    pub(super) calls: Calls,
    pub(super) progress: Progress,
    pub(super) tell: Tell,
}

/// The norms of gradients.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) total: f64,
    /// The norm of each tensor, if no two share a message. The first tensor of a message otherwise has the norm of all
    /// in it.
    pub(super) norms: Vec<f64>,
}

/// The result of a call, beside the gradients that it wrote.
struct Answered {
    parcel: Parcel,
    comparisons: Vec<Comparison>,
    totals: Totals,
}

impl Gradients {
    /// Reads the parts of a parcel, in one job: a small part takes less time than a job.
    async fn read(self: &Arc<Self>, parcel: &Parcel) -> Result<Vec<Bytes>, Failure> {
        let (gradients, parcel) = (Arc::clone(self), parcel.clone());
        let read = move || {
            let Self { tensors, progress, .. } = &*gradients;
            parcel.iter().map(|part| run::read_here(&tensors[part.tensor].0, part.region, progress)).collect()
        };
        Ok(blocking(read).await?)
    }

    /// The tensors that a parcel sends. A whole tensor keeps its shape, so that an error can name a dimension.
    fn messages(&self, parcel: &Parcel, bytes: &[Bytes]) -> Vec<pb::Tensor> {
        let message = |(Part { tensor, region }, bytes): (&Part, &Bytes)| {
            let (stored, dtype, _) = &self.tensors[*tensor];
            if region.len() == stored.len && stored.shape.len() <= MAX_RANK {
                element::message(*dtype, &stored.shape, bytes.clone())
            } else {
                element::message(*dtype, &[bytes.len() / dtype.size()], bytes.clone())
            }
        };
        parcel.iter().zip(bytes).map(message).collect()
    }

    /// Measures the norm of all gradients, and of each.
    pub(super) async fn measure(
        self: &Arc<Self>,
        parcels: Vec<Parcel>,
        norm_type: Option<f64>,
    ) -> Result<Measured, (Failure, Parcel)> {
        let work = parcels.into_iter().map(|parcel| {
            let gradients = Arc::clone(self);
            async move {
                let measured = gradients.measure_parcel(&parcel, norm_type).await;
                measured.map(|partial| (parcel[0].tensor, partial)).map_err(|failure| (failure, parcel))
            }
        });
        let mut total: Option<NormPartial> = None;
        let mut each: Vec<Option<NormPartial>> = vec![None; self.tensors.len()];
        for (tensor, partial) in all(self.calls.at_once(), work).await? {
            for sum in [&mut total, &mut each[tensor]] {
                match sum {
                    // Only partials of different orders do not merge, and all calls ask for the same order.
                    Some(sum) => sum
                        .merge(&partial)
                        .map_err(|error| (run::broken("partial.norm_type", error.to_string()), Parcel::new()))?,
                    None => *sum = Some(partial.clone()),
                }
            }
        }
        let norm = |partial: Option<NormPartial>| partial.map_or(0.0, |partial| partial.total_norm());
        Ok(Measured { total: norm(total), norms: each.into_iter().map(norm).collect() })
    }

    async fn measure_parcel(self: &Arc<Self>, parcel: &Parcel, norm_type: Option<f64>) -> Result<NormPartial, Failure> {
        let bytes = self.read(parcel).await?;
        let gradients = self.messages(parcel, &bytes);
        let request = pb::MeasureGradientsRequest { norm_type, partials: Vec::new(), gradients };
        let partial = self.calls.measure(request).await?;
        let len = bytes.iter().map(Bytes::len).sum();
        self.progress.has_answer(len);
        self.progress.has_written(len);
        Ok(partial)
    }

    /// Clips and writes. `total`: the norm of all, where the calls do not know it.
    pub(super) async fn send(
        self: &Arc<Self>,
        parcels: Vec<(Parcel, pb::ClipGradientsRequest)>,
        total: Option<f64>,
    ) -> Clipped {
        let work = parcels.into_iter().map(|(parcel, request)| {
            let gradients = Arc::clone(self);
            async move {
                let answered = gradients.clip_parcel(&parcel, request).await;
                let answered = answered.map(|(comparisons, totals)| (comparisons, totals, parcel.clone()));
                answered
                    .map(|(comparisons, totals, parcel)| Answered { parcel, comparisons, totals })
                    .map_err(|failure| (failure, parcel))
            }
        });
        let mut comparisons = vec![Comparison::default(); self.tensors.len()];
        let mut all_totals = Totals { norm: 0.0, scale: 1.0, clipped: 0 };
        for Answered { parcel, comparisons: of_parcel, totals } in all(self.calls.at_once(), work).await? {
            for (part, comparison) in parcel.iter().zip(&of_parcel) {
                comparisons[part.tensor].merge(comparison);
            }
            // A factor of NaN counts as the smallest.
            let is_smaller = totals.scale.is_nan() || totals.scale < all_totals.scale;
            all_totals = Totals {
                norm: totals.norm,
                scale: if is_smaller { totals.scale } else { all_totals.scale },
                clipped: all_totals.clipped + totals.clipped,
            };
        }
        Ok((Totals { norm: total.unwrap_or(all_totals.norm), ..all_totals }, comparisons))
    }

    async fn clip_parcel(
        self: &Arc<Self>,
        parcel: &Parcel,
        request: pb::ClipGradientsRequest,
    ) -> Result<(Vec<Comparison>, Totals), Failure> {
        let before = self.read(parcel).await?;
        let gradients = self.messages(parcel, &before);
        let request = pb::ClipGradientsRequest { gradients, ..request };
        let pb::ClipGradientsResponse { total_norm, scale, clipped_elements, tensor_norms: _, gradients } =
            self.calls.clip(request).await?;
        if gradients.len() != parcel.len() {
            let reason = format!("are {} where {} were sent", gradients.len(), parcel.len());
            return Err(run::broken("gradients", reason));
        }
        self.progress.has_answer(before.iter().map(Bytes::len).sum());
        let mut work = Vec::with_capacity(parcel.len());
        for ((part, answer), before) in parcel.iter().zip(gradients).zip(before) {
            let (_, dtype, to) = &self.tensors[part.tensor];
            let after = run::answered("gradients", Some(answer), *dtype, &before)?;
            work.push((part.region, to.clone(), *dtype, before, after));
        }
        let (tell, progress) = (self.tell, self.progress.clone());
        let comparisons = blocking(move || {
            let write = |(region, to, dtype, before, after): &(_, Destination, DType, Bytes, Bytes)| {
                run::write((*region, to), (*dtype, tell), (before, after), &progress)
            };
            work.iter().map(write).collect::<Result<Vec<_>, _>>()
        });
        Ok((comparisons.await?, Totals { norm: total_norm, scale, clipped: clipped_elements }))
    }
}
