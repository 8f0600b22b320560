//! Normalize and NormalizeBackward.

use std::{slice, time::Duration};

use evenkeel_kernels::{
    self as kernels, Checkpoint, DType, Demand, NormParameters, Normalization, normalize, normalize_backward,
    normalize_backward_demand, normalize_backward_in_place, normalize_demand, normalize_in_order_demand,
    normalize_in_place,
};
use evenkeel_proto::v1 as pb;

use super::Operation;
use crate::{
    buffers::{Buffers, Loan},
    error::Error,
    estimate::{self, Work},
    observe::CallRecord,
    wire::{self, AnswerSize, Description, Normalize, NormalizeBackward},
};

/// The memory and work of a normalization. The elements of its input need not be there.
///
/// # Errors
/// [`Error::Invalid`] for arguments that do not fit.
pub(crate) fn normalize_demand_of<I: AsRef<Description>>(call: &Normalize<I>) -> Result<Demand, Error> {
    demand_by(call, normalize_demand)
}

/// The memory and work of a normalization whose input comes in chunks.
///
/// # Errors
/// [`Error::Invalid`] for arguments that do not fit.
pub(crate) fn normalize_in_order_demand_of(call: &Normalize<Description>) -> Result<Demand, Error> {
    demand_by(call, normalize_in_order_demand)
}

/// [`normalize_demand`], or its like.
type DemandOf = fn(&Normalization, &NormParameters<'_>, DType, &[usize], bool) -> Result<Demand, kernels::Error>;

fn demand_by<I: AsRef<Description>>(call: &Normalize<I>, demand: DemandOf) -> Result<Demand, Error> {
    let Normalize { spec, return_statistics, parameters, input } = call;
    let input = input.as_ref();
    demand(spec, &parameters.view(), input.dtype(), input.shape(), *return_statistics)
        .map_err(|error| parameters.beside(error))
}

impl Operation for Normalize {
    type Request = pb::NormalizeRequest;
    type Response = pb::NormalizeResponse;

    fn decode(request: pb::NormalizeRequest, limit: usize) -> Result<Self, Error> {
        Self::decode(request, limit)
    }

    fn describe(&self, record: &CallRecord) {
        record.describe(self.spec.kind, &[self.input.view()]);
    }

    fn demand(&self) -> Result<Demand, Error> {
        normalize_demand_of(self)
    }

    fn answer_size(&self, results: usize) -> AnswerSize {
        AnswerSize::of([&self.input], results)
    }

    fn cost(&self, demand: &Demand) -> Duration {
        let of_statistics = estimate::statistics(0, self.parameters.merged_sets());
        Work::Normalize.estimate(&[self.input.view()], demand.units) + of_statistics
    }

    fn compute(
        mut self: Box<Self>,
        loan: Option<Loan>,
        buffers: &Buffers,
        checkpoint: &dyn Checkpoint,
    ) -> Result<pb::NormalizeResponse, Error> {
        self.parameters.check_statistics(checkpoint)?;
        let Self { spec, return_statistics, parameters, input } = &mut *self;
        // The parameters lie in the buffer that the result would overwrite, so they are copied out of it first. If they
        // are too large for that, the result gets a buffer of its own.
        let loan = loan.filter(|_| parameters.detach_below(input.bytes().len()));
        let parameters = parameters.view();
        let replaced = wire::in_place(loan, slice::from_mut(input), |input| {
            normalize_in_place(spec, &parameters, &mut input[0], *return_statistics, checkpoint)
        });
        let result = match replaced {
            Some(replaced) => replaced?.map_output(|()| None),
            None => normalize(spec, &parameters, input.view(), *return_statistics, checkpoint)?.map_output(Some),
        };
        let replaced = || self.input.bytes().clone();
        let lent = |output: kernels::Tensor| buffers.lend(output.into_parts().2);
        Ok(self.encode(result.map_output(|output| output.map_or_else(replaced, lent))))
    }
}

impl Operation for NormalizeBackward {
    type Request = pb::NormalizeBackwardRequest;
    type Response = pb::NormalizeBackwardResponse;

    fn decode(request: pb::NormalizeBackwardRequest, limit: usize) -> Result<Self, Error> {
        Self::decode(request, limit)
    }

    fn describe(&self, record: &CallRecord) {
        record.describe(self.spec.kind, &[self.pair[0].view()]);
    }

    fn demand(&self) -> Result<Demand, Error> {
        let [input, grad_output] = self.pair.each_ref().map(wire::Tensor::view);
        normalize_backward_demand(&self.spec, &self.parameters.view(), input, grad_output)
            .map_err(|error| self.parameters.beside(error))
    }

    fn answer_size(&self, results: usize) -> AnswerSize {
        AnswerSize::of([&self.pair[0]], results)
    }

    fn cost(&self, demand: &Demand) -> Duration {
        let of_statistics = estimate::statistics(0, self.parameters.merged_sets());
        Work::NormalizeBackward.estimate(&[self.pair[0].view()], demand.units) + of_statistics
    }

    fn compute(
        mut self: Box<Self>,
        loan: Option<Loan>,
        buffers: &Buffers,
        checkpoint: &dyn Checkpoint,
    ) -> Result<pb::NormalizeBackwardResponse, Error> {
        self.parameters.check_statistics(checkpoint)?;
        let Self { spec, parameters, pair } = &mut *self;
        let loan = loan.filter(|_| parameters.detach_below(pair[0].bytes().len()));
        let parameters = parameters.view();
        let replaced = wire::in_place(loan, pair, |pair| {
            let (input, grad_output) = pair.split_at_mut(1);
            normalize_backward_in_place(spec, &parameters, input[0].view(), &mut grad_output[0], checkpoint)
        });
        let gradients = match replaced {
            Some(replaced) => replaced?.map_grad_input(|()| None),
            None => {
                let [input, grad_output] = pair.each_ref().map(wire::Tensor::view);
                normalize_backward(spec, &parameters, input, grad_output, checkpoint)?.map_grad_input(Some)
            }
        };
        Ok(self.encode(gradients, buffers))
    }
}
