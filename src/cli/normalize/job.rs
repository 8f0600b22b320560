//! The normalization of a tensor, piece by piece.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use evenkeel_client::{DType, StatisticsPartial};
use evenkeel_proto::v1::{self as pb, measure_statistics_request::Part};

use super::{Options, Parameters, Statistics, pooling::Cut};
use crate::cli::{
    files::{Stored, element},
    pieces::{PartPiece, Parts, Piece},
    progress::Progress,
    run::{self, Comparison, Destination, Tell},
    session::Calls,
    tasks::{all, blocking},
};

/// A tensor that is normalized.
pub(super) struct Job {
    pub(super) tensor: Stored,
    pub(super) dtype: DType,
    pub(super) cut: Cut,
    pub(super) to: Destination,
    pub(super) options: Options,
    pub(super) parameters: Parameters,
    /// Whether statistics are returned.
    pub(super) statistics: bool,
    pub(super) calls: Calls,
    pub(super) tell: Tell,
    pub(super) progress: Progress,
}

/// The result of a job: the comparison, the axes that were pooled, and the statistics if they are wanted.
pub(super) type Outcome = (Comparison, Vec<i32>, Option<Statistics>);

/// The exact statistics of sets, by the index of the first of each part's.
type Measured = BTreeMap<usize, StatisticsPartial>;

impl Job {
    pub(super) async fn run(self) -> Result<Outcome, run::Failure> {
        let job = Arc::new(self);
        let results = match job.cut.clone() {
            Cut::Boxes(boxes) => {
                let work = boxes.pieces().map(|piece| {
                    let job = Arc::clone(&job);
                    async move {
                        let parameters = job.parameters.of(&piece.channels);
                        job.normalize(piece, parameters, None).await
                    }
                });
                all(job.calls.at_once(), work).await?
            }
            Cut::Parts(parts) => {
                let measured = Arc::new(job.measure(parts.clone()).await?);
                let mut told: Option<usize> = None;
                let work = parts.pieces().map(|PartPiece { piece, sets, pooled, pooled_shape }| {
                    let (job, measured) = (Arc::clone(&job), Arc::clone(&measured));
                    let of_channels = job.options.has_channels();
                    // The parts of a set have the same statistics: the first tells them.
                    let is_first = told.is_none_or(|last| last < sets.start);
                    told = told.max(Some(sets.start));
                    async move {
                        let parameters = if of_channels {
                            job.parameters.of(&piece.channels)
                        } else {
                            job.parameters.of_pooled(&pooled, &pooled_shape)
                        };
                        let statistics = measured.get(&sets.start).map(StatisticsPartial::to_message);
                        let (comparison, axes, found) = job.normalize(piece, parameters, statistics).await?;
                        Ok::<_, run::Failure>((comparison, axes, found.filter(|_| is_first)))
                    }
                });
                all(job.calls.at_once(), work).await?
            }
        };
        let mut whole = (Comparison::default(), Vec::new());
        let mut parts = Vec::new();
        for (comparison, axes, part) in results {
            whole.0.merge(&comparison);
            whole.1 = axes;
            parts.extend(part);
        }
        let statistics = if job.statistics {
            let shape = job.options.statistics_shape(&job.tensor.shape);
            Some(Statistics::join(parts, shape)?)
        } else {
            None
        };
        Ok((whole.0, whole.1, statistics))
    }

    /// The request for a piece, without parameters and statistics.
    fn request(&self, Piece { shape, groups, .. }: &Piece, bytes: bytes::Bytes) -> pb::NormalizeRequest {
        pb::NormalizeRequest {
            input: Some(element::message(self.dtype, shape, bytes)),
            groups: match groups {
                Some(groups) => u32::try_from(*groups).unwrap_or(u32::MAX),
                None => self.options.groups,
            },
            return_statistics: self.statistics,
            ..self.options.request()
        }
    }

    /// Measures all parts. Those with the same sets are merged, which rounds nothing.
    async fn measure(self: &Arc<Self>, parts: Parts) -> Result<Measured, run::Failure> {
        let work = parts.pieces().map(|PartPiece { piece, sets, .. }| {
            let job = Arc::clone(self);
            async move { Ok::<_, run::Failure>((sets, job.measure_part(piece).await?)) }
        });
        let mut measured = Measured::new();
        let found: Vec<(Range<usize>, StatisticsPartial)> = all(self.calls.at_once(), work).await?;
        for (sets, partial) in found {
            match measured.get_mut(&sets.start) {
                Some(sum) => {
                    sum.merge(&partial).map_err(|error| run::broken("statistics", error.to_string()))?;
                }
                None => drop(measured.insert(sets.start, partial)),
            }
        }
        Ok(measured)
    }

    async fn measure_part(&self, piece: Piece) -> Result<StatisticsPartial, run::Failure> {
        let bytes = run::read(&self.tensor, piece.region, &self.progress).await?;
        let len = bytes.len();
        let part = Some(Part::Header(self.request(&piece, bytes)));
        let request = pb::MeasureStatisticsRequest { part, ..pb::MeasureStatisticsRequest::default() };
        let partial = self.calls.measure_statistics(request).await?;
        self.progress.has_answer(len);
        self.progress.has_written(len);
        Ok(partial)
    }

    async fn normalize(
        &self,
        piece: Piece,
        [weight, bias, running_mean, running_var]: [Option<pb::Tensor>; 4],
        statistics: Option<pb::StatisticsPartial>,
    ) -> Result<Outcome, run::Failure> {
        let Self { tensor, dtype, to, tell, progress, .. } = self;
        let before = run::read(tensor, piece.region, progress).await?;
        let request = self.request(&piece, before.clone());
        let request = pb::NormalizeRequest { weight, bias, running_mean, running_var, statistics, ..request };
        let pb::NormalizeResponse { axes, mean, rstd, running_mean, running_var, output } =
            self.calls.normalize(request).await?;
        let after = run::answered("output", output, *dtype, &before)?;
        progress.has_answer(before.len());
        let statistics = self.statistics.then_some(Statistics { mean, rstd, running_mean, running_var });
        let (region, to, of, progress) = (piece.region, to.clone(), (*dtype, *tell), progress.clone());
        let comparison = blocking(move || run::write((region, &to), of, (&before, &after), &progress)).await?;
        Ok((comparison, axes, statistics))
    }
}
