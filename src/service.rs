//! The remote calls: each decodes its request, computes on the pool, and encodes the answer.

mod arriving;
mod codec;

use std::{slice, sync::Arc, time::Duration};

use evenkeel_exact::{NormOrder, NormPartial};
use evenkeel_kernels::{
    self as kernels, Checkpoint, Drawn, Dropped, clip_gradients, clip_gradients_in_place, dropout, dropout_backward,
    dropout_backward_in_place, dropout_in_place, measure_gradients, normalize, normalize_backward,
    normalize_backward_in_place, normalize_in_place,
};
use evenkeel_proto::v1 as pb;
use prost::Message;
use tonic::Streaming;

pub(crate) use arriving::Arriving;
pub(crate) use codec::Codec;

use crate::{
    buffers::Loan, config::Encoding, error::Error, estimate::Work, executor::Executor, metrics::Elements,
    observe::CallRecord, wire,
};

/// What `evenkeel.v1.TensorOpsService` does.
#[derive(Debug)]
pub(crate) struct Service {
    executor: Arc<Executor>,
    max_message_bytes: usize,
    compression: Vec<Encoding>,
}

impl Service {
    /// Computes on `executor`; neither takes nor gives messages of more than `max_message_bytes`, which may be compressed
    /// as `compression` says.
    pub(crate) fn new(executor: Arc<Executor>, max_message_bytes: usize, compression: Vec<Encoding>) -> Self {
        Self { executor, max_message_bytes, compression }
    }

    /// Runs a kernel that is expected to take `estimate`. The decoded call goes there and comes back, for the answer
    /// reuses parts of it.
    fn compute<C, T>(
        &self,
        record: &CallRecord,
        estimate: Duration,
        mut call: Box<C>,
        kernel: impl FnOnce(&mut C, &dyn Checkpoint) -> Result<T, Error> + Send + 'static,
    ) -> impl Future<Output = Result<(Box<C>, T), Error>>
    where
        C: Send + 'static,
        T: Send + 'static,
    {
        self.executor.run(record, estimate, move |checkpoint| {
            let result = kernel(&mut call, checkpoint)?;
            Ok((call, result))
        })
    }

    /// Measures message after message, so that a call of any length holds one of them at a time.
    async fn measure(
        &self,
        record: &CallRecord,
        mut messages: Streaming<pb::MeasureGradientsRequest>,
    ) -> Result<(NormPartial, Elements), Error> {
        let limit = self.max_message_bytes;
        let mut elements = Elements::None;
        let mut total: Option<NormPartial> = None;
        while let Some(message) = messages.message().await.map_err(|status| Error::receiving(&status, limit))? {
            let call = wire::MeasureGradients::decode(message, total.as_ref().map(NormPartial::order), limit)?;
            let before = total.take().unwrap_or_else(|| NormPartial::new(call.order));
            elements = elements.join(Elements::of(&call.views()));
            let estimate = Work::Measure.estimate(&call.views());
            let measure = self.compute(record, estimate, Box::new(call), move |call, checkpoint| {
                let measured = measure_gradients(call.order, &call.views(), checkpoint)?;
                let add = |mut sum: NormPartial, partial| {
                    sum.merge(partial).expect("decoding refuses a mixture of orders");
                    sum
                };
                Ok(call.partials.iter().chain([&measured]).fold(before, add))
            });
            total = Some(measure.await?.1);
        }
        Ok((total.unwrap_or_else(|| NormPartial::new(NormOrder::Two)), elements))
    }

    async fn measure_gradients(
        &self,
        record: CallRecord,
        messages: Streaming<pb::MeasureGradientsRequest>,
    ) -> Result<pb::MeasureGradientsResponse, Error> {
        let (total, elements) = self.measure(&record, messages).await?;
        record.describe_streamed(total.order(), elements, total.elements());
        Ok(wire::encode_norm(&total))
    }

    fn server_info(&self) -> pb::GetServerInfoResponse {
        wire::encode_server_info(self.max_message_bytes, &self.compression)
    }

    /// Refuses an answer that the client, with the same limit, would not take.
    fn within_limit<M: Message>(&self, answer: M) -> Result<M, Error> {
        let size = answer.encoded_len();
        self.check_size(size).map(|()| answer)
    }

    fn check_size(&self, size: usize) -> Result<(), Error> {
        let limit = self.max_message_bytes;
        if size > limit { Err(Error::ResponseTooLarge { size, limit }) } else { Ok(()) }
    }
}

/// The unary calls, whichever way their messages came.
///
/// A request is decoded before the future is made, and into a box: a future that holds it by value would be some KiB that
/// are copied whenever it is put into another one, more than a small call's arithmetic.
impl Service {
    /// `loan`: the buffer of the message, if it was put together in one.
    pub(crate) fn normalize(
        &self,
        record: CallRecord,
        request: pb::NormalizeRequest,
        loan: Option<Loan>,
    ) -> impl Future<Output = Result<pb::NormalizeResponse, Error>> {
        let call = wire::Normalize::decode(request, self.max_message_bytes).map(Box::new);
        async move {
            let call = call?;
            record.describe(call.spec.kind, &[call.input.view()]);
            let estimate = Work::Normalize.estimate(&[call.input.view()]);
            let (call, result) = self
                .compute(&record, estimate, call, |call, checkpoint| {
                    let wire::Normalize { spec, return_statistics, parameters, input } = call;
                    // They are in the same buffer.
                    let loan = loan.filter(|_| parameters.detach_below(input.bytes().len()));
                    let parameters = parameters.view();
                    let replaced = wire::in_place(loan, slice::from_mut(input), |input| {
                        normalize_in_place(spec, &parameters, &mut input[0], *return_statistics, checkpoint)
                    });
                    Ok(match replaced {
                        Some(replaced) => replaced?.map_output(|()| None),
                        None => {
                            normalize(spec, &parameters, input.view(), *return_statistics, checkpoint)?.map_output(Some)
                        }
                    })
                })
                .await?;
            let buffers = self.executor.buffers();
            let replaced = || call.input.bytes().clone();
            let lent = |output: kernels::Tensor| buffers.lend(output.into_parts().2);
            self.within_limit(call.encode(result.map_output(|output| output.map_or_else(replaced, lent))))
        }
    }

    /// `loan`: as for [`normalize`](Self::normalize).
    pub(crate) fn normalize_backward(
        &self,
        record: CallRecord,
        request: pb::NormalizeBackwardRequest,
        loan: Option<Loan>,
    ) -> impl Future<Output = Result<pb::NormalizeBackwardResponse, Error>> {
        let call = wire::NormalizeBackward::decode(request, self.max_message_bytes).map(Box::new);
        async move {
            let call = call?;
            let input = call.pair[0].view();
            record.describe(call.spec.kind, &[input]);
            let estimate = Work::NormalizeBackward.estimate(&[input]);
            let (call, result) = self
                .compute(&record, estimate, call, |call, checkpoint| {
                    let wire::NormalizeBackward { spec, parameters, pair } = call;
                    let loan = loan.filter(|_| parameters.detach_below(pair[0].bytes().len()));
                    let parameters = parameters.view();
                    let replaced = wire::in_place(loan, pair, |pair| {
                        let (input, grad_output) = pair.split_at_mut(1);
                        normalize_backward_in_place(spec, &parameters, input[0].view(), &mut grad_output[0], checkpoint)
                    });
                    Ok(match replaced {
                        Some(replaced) => replaced?.map_grad_input(|()| None),
                        None => {
                            let [input, grad_output] = pair.each_ref().map(wire::Tensor::view);
                            normalize_backward(spec, &parameters, input, grad_output, checkpoint)?.map_grad_input(Some)
                        }
                    })
                })
                .await?;
            self.within_limit(call.encode(result, self.executor.buffers()))
        }
    }

    /// `loan`: as for [`normalize`](Self::normalize).
    pub(crate) fn dropout(
        &self,
        record: CallRecord,
        request: pb::DropoutRequest,
        loan: Option<Loan>,
    ) -> impl Future<Output = Result<pb::DropoutResponse, Error>> {
        let call = wire::Dropout::decode(request, self.max_message_bytes).map(Box::new);
        async move {
            let call = call?;
            record.describe(call.spec.kind, &[call.input.view()]);
            let estimate = Work::Dropout.estimate(&[call.input.view()]);
            let (call, (drawn, output)) = self
                .compute(&record, estimate, call, |call, checkpoint| {
                    let wire::Dropout { spec, return_mask, input } = call;
                    let drawn = wire::in_place(loan, slice::from_mut(input), |input| {
                        dropout_in_place(spec, &mut input[0], *return_mask, checkpoint)
                    });
                    match drawn {
                        Some(drawn) => Ok((drawn?, None)),
                        None => {
                            let Dropped { kept, mask, output } = dropout(spec, input.view(), *return_mask, checkpoint)?;
                            Ok((Drawn { kept, mask }, Some(output)))
                        }
                    }
                })
                .await?;
            self.within_limit(call.encode(drawn, output, self.executor.buffers()))
        }
    }

    /// `loan`: as for [`normalize`](Self::normalize).
    pub(crate) fn dropout_backward(
        &self,
        record: CallRecord,
        request: pb::DropoutBackwardRequest,
        loan: Option<Loan>,
    ) -> impl Future<Output = Result<pb::DropoutBackwardResponse, Error>> {
        let call = wire::DropoutBackward::decode(request, self.max_message_bytes).map(Box::new);
        async move {
            let call = call?;
            record.describe(call.spec.kind, &[call.grad_output.view()]);
            let estimate = Work::Dropout.estimate(&[call.grad_output.view()]);
            let (call, result) = self
                .compute(&record, estimate, call, |call, checkpoint| {
                    let wire::DropoutBackward { spec, grad_output } = call;
                    let replaced = wire::in_place(loan, slice::from_mut(grad_output), |grad_output| {
                        dropout_backward_in_place(spec, &mut grad_output[0], checkpoint)
                    });
                    match replaced {
                        Some(replaced) => Ok(replaced.map(|()| None)?),
                        None => Ok(dropout_backward(spec, grad_output.view(), checkpoint).map(Some)?),
                    }
                })
                .await?;
            self.within_limit(call.encode(result, self.executor.buffers()))
        }
    }

    /// `loan`: as for [`normalize`](Self::normalize).
    pub(crate) fn clip_gradients(
        &self,
        record: CallRecord,
        request: pb::ClipGradientsRequest,
        loan: Option<Loan>,
    ) -> impl Future<Output = Result<pb::ClipGradientsResponse, Error>> {
        let call = wire::ClipGradients::decode(request, self.max_message_bytes).map(Box::new);
        async move {
            let call = call?;
            let views = call.views();
            record.describe(call.spec.mode, &views);
            let estimate = Work::Clip.estimate(&views);
            let (call, result) = self
                .compute(&record, estimate, call, |call, checkpoint| {
                    let wire::ClipGradients { spec, gradients } = call;
                    let clipped = wire::in_place(loan, gradients, |gradients| {
                        clip_gradients_in_place(spec, gradients, checkpoint)
                    });
                    clipped
                        .unwrap_or_else(|| clip_gradients(&call.spec, &call.views(), checkpoint))
                        .map_err(|error| call.named(error))
                })
                .await?;
            self.within_limit(call.encode(result, self.executor.buffers()))
        }
    }
}
