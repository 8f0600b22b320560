//! A normalization that is computed while its tensor arrives.

use std::time::Duration;

use evenkeel_kernels::{NormalizationByParts, PartStatistics};
use evenkeel_proto::v1 as pb;
use tonic::Status;

use super::{Service, rpc::Observed};
use crate::{
    error::Error,
    executor::Pieces,
    wire::{self, Description},
};

/// A call of which everything is known but the elements of its input.
pub(crate) struct Arriving<'a> {
    service: &'a Service,
    call: wire::Normalize<Description>,
    parts: NormalizationByParts,
    pieces: Pieces<'a>,
    observed: Observed,
    statistics: Vec<PartStatistics>,
    output: Vec<u8>,
    /// The bytes of `output` that are written.
    written: usize,
}

impl Service {
    /// Begins a call whose input's `data_len` bytes are still on their way. `None`: it cannot be computed in parts, or is
    /// not right. What is wrong is found again when all of it is there.
    pub(crate) fn normalize_arriving(&self, request: pb::NormalizeRequest, data_len: usize) -> Option<Arriving<'_>> {
        let call = wire::Normalize::arriving(request, data_len, self.max_message_bytes).ok()?;
        let (dtype, shape) = (call.input.dtype(), call.input.shape());
        let parts = NormalizationByParts::new(&call.spec, &call.parameters.view(), dtype, shape).ok()?;
        if parts.part_len() >= parts.total_len() {
            return None;
        }
        let observed = Observed::begin("Normalize");
        let pieces = self.executor.pieces(observed.span().clone())?;
        observed.describe(call.spec.kind, dtype, shape);
        let output = self.executor.buffers().take(parts.total_len());
        Some(Arriving { service: self, call, parts, pieces, observed, statistics: Vec::new(), output, written: 0 })
    }
}

impl Arriving<'_> {
    /// The bytes of the next part; `None`: there was the last.
    pub(crate) fn wants(&self) -> Option<usize> {
        let missing = self.output.len() - self.written;
        (missing > 0).then(|| missing.min(self.parts.part_len()))
    }

    /// Normalizes the next part, as many bytes as are [wanted](Self::wants).
    pub(crate) async fn take(&mut self, part: &[u8]) -> Result<(), Error> {
        let Self { parts, pieces, statistics, output, written, .. } = self;
        let (index, output) = (statistics.len(), &mut output[*written..][..part.len()]);
        let of_part = pieces.run(|checkpoint| Ok(parts.normalize(index, part, output, checkpoint)?)).await?;
        statistics.push(of_part);
        *written += part.len();
        Ok(())
    }

    /// The answer: an error if taking a part has failed.
    pub(crate) async fn finish(self, taken: Result<(), Error>) -> Result<pb::NormalizeResponse, Status> {
        let Self { service, call, parts, pieces, observed, statistics, output, written: _ } = self;
        observed.times(Duration::ZERO, pieces.computed());
        let answer = async {
            taken?;
            let result = parts.finish(&call.parameters.view(), call.return_statistics, statistics, output);
            service.within_limit(call.encode(result, service.executor.buffers()))
        };
        observed.end(answer).await
    }
}
