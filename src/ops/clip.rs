//! ClipGradients.

use std::time::Duration;

use evenkeel_exact::NormOrder;
use evenkeel_kernels::{Checkpoint, Clipping, Demand, clip_demand, clip_gradients, clip_gradients_in_place};
use evenkeel_proto::v1 as pb;

use super::Operation;
use crate::{
    buffers::{Buffers, Loan},
    error::Error,
    estimate::Work,
    observe::CallRecord,
    wire::{self, AnswerSize, ClipGradients},
};

/// The work of a clipping on each element. Norms of other orders than 1, 2 and infinity need powers.
pub(crate) fn clip_work(spec: &Clipping) -> Work {
    let order = spec.norm_type.unwrap_or(NormOrder::Two.norm_type());
    if NormOrder::from_norm_type(order).is_some() { Work::Clip } else { Work::Powers }
}

impl Operation for ClipGradients {
    type Request = pb::ClipGradientsRequest;
    type Response = pb::ClipGradientsResponse;

    fn decode(request: pb::ClipGradientsRequest, limit: usize) -> Result<Self, Error> {
        Self::decode(request, limit)
    }

    fn describe(&self, record: &CallRecord) {
        record.describe(self.spec.mode, &self.views());
    }

    fn demand(&self) -> Result<Demand, Error> {
        Ok(clip_demand(&self.spec, self.gradients.len()))
    }

    fn answer_size(&self, results: usize) -> AnswerSize {
        AnswerSize::of(&self.gradients, results)
    }

    fn cost(&self, demand: &Demand) -> Duration {
        clip_work(&self.spec).estimate(&self.views(), demand.units)
    }

    fn compute(
        mut self: Box<Self>,
        loan: Option<Loan>,
        buffers: &Buffers,
        checkpoint: &dyn Checkpoint,
    ) -> Result<pb::ClipGradientsResponse, Error> {
        let Self { spec, gradients } = &mut *self;
        let clipped = wire::in_place(loan, gradients, |gradients| clip_gradients_in_place(spec, gradients, checkpoint));
        let clipped = clipped.unwrap_or_else(|| clip_gradients(&self.spec, &self.views(), checkpoint));
        let clipped = clipped.map_err(|error| self.named(error))?;
        Ok(self.encode(clipped, buffers))
    }
}
