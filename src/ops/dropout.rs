//! Dropout and DropoutBackward.

use std::{slice, time::Duration};

use evenkeel_kernels::{
    Checkpoint, Demand, Drawn, Dropped, dropout, dropout_backward, dropout_backward_demand, dropout_backward_in_place,
    dropout_demand, dropout_in_place,
};
use evenkeel_proto::v1 as pb;

use super::Operation;
use crate::{
    buffers::{Buffers, Loan},
    error::Error,
    estimate::Work,
    observe::CallRecord,
    wire::{self, AnswerSize, Dropout, DropoutBackward},
};

impl Operation for Dropout {
    type Request = pb::DropoutRequest;
    type Response = pb::DropoutResponse;

    fn decode(request: pb::DropoutRequest, limit: usize) -> Result<Self, Error> {
        Self::decode(request, limit)
    }

    fn describe(&self, record: &CallRecord) {
        record.describe(self.spec.kind, &[self.input.view()]);
    }

    fn demand(&self) -> Result<Demand, Error> {
        Ok(dropout_demand(&self.spec, self.input.view().shape(), self.return_mask)?)
    }

    fn answer_size(&self, results: usize) -> AnswerSize {
        AnswerSize::of([&self.input], results)
    }

    fn cost(&self, demand: &Demand) -> Duration {
        Work::Dropout.estimate(&[self.input.view()], demand.units)
    }

    fn compute(
        mut self: Box<Self>,
        loan: Option<Loan>,
        buffers: &Buffers,
        checkpoint: &dyn Checkpoint,
    ) -> Result<pb::DropoutResponse, Error> {
        let Self { spec, return_mask, input } = &mut *self;
        let replaced = wire::in_place(loan, slice::from_mut(input), |input| {
            dropout_in_place(spec, &mut input[0], *return_mask, checkpoint)
        });
        let (drawn, output) = match replaced {
            Some(drawn) => (drawn?, None),
            None => {
                let Dropped { kept, mask, output } = dropout(spec, input.view(), *return_mask, checkpoint)?;
                (Drawn { kept, mask }, Some(output))
            }
        };
        Ok(self.encode(drawn, output, buffers))
    }
}

impl Operation for DropoutBackward {
    type Request = pb::DropoutBackwardRequest;
    type Response = pb::DropoutBackwardResponse;

    fn decode(request: pb::DropoutBackwardRequest, limit: usize) -> Result<Self, Error> {
        Self::decode(request, limit)
    }

    fn describe(&self, record: &CallRecord) {
        record.describe(self.spec.kind, &[self.grad_output.view()]);
    }

    fn demand(&self) -> Result<Demand, Error> {
        Ok(dropout_backward_demand(&self.spec, self.grad_output.view().shape())?)
    }

    fn answer_size(&self, results: usize) -> AnswerSize {
        AnswerSize::of([&self.grad_output], results)
    }

    fn cost(&self, demand: &Demand) -> Duration {
        Work::Dropout.estimate(&[self.grad_output.view()], demand.units)
    }

    fn compute(
        mut self: Box<Self>,
        loan: Option<Loan>,
        buffers: &Buffers,
        checkpoint: &dyn Checkpoint,
    ) -> Result<pb::DropoutBackwardResponse, Error> {
        let Self { spec, grad_output } = &mut *self;
        let replaced = wire::in_place(loan, slice::from_mut(grad_output), |grad_output| {
            dropout_backward_in_place(spec, &mut grad_output[0], checkpoint)
        });
        let grad_input = match replaced {
            Some(replaced) => replaced.map(|()| None)?,
            None => Some(dropout_backward(spec, grad_output.view(), checkpoint)?),
        };
        Ok(self.encode(grad_input, buffers))
    }
}
