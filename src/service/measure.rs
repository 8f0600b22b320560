//! MeasureGradients: the messages of a stream are measured one by one, so that one is in memory at a time.

use evenkeel_exact::{NormOrder, NormPartial};
use evenkeel_kernels::{TensorRef, measure_gradients};
use evenkeel_proto::v1 as pb;

use super::{
    CallContext, Service,
    messages::{Arrived, Messages},
};
use crate::{error::Error, estimate::Work, grpc::Method, metrics::Elements, observe::CallRecord, wire};

/// The norm of all messages so far.
struct Measured {
    /// The sum is in a box, since it has more than a kilobyte, which would be moved with each message.
    total: Option<Box<NormPartial>>,
    elements: Elements,
}

impl Measured {
    fn order(&self) -> Option<NormOrder> {
        self.total.as_ref().map(|total| total.order())
    }

    /// Describes the call with the gradients of another message, for the log of a call that ends early. Partials count when they are
    /// merged.
    fn describe(&self, order: NormOrder, views: &[TensorRef<'_>], record: &CallRecord) {
        let before = self.total.as_ref().map_or(0, |total| total.elements());
        let elements = views.iter().fold(before, |sum, view| sum.saturating_add(view.len() as u64));
        record.describe_begun(order, self.elements.join(Elements::of(views)), elements);
    }
}

impl Service {
    /// Measures the gradients of all messages, and merges the partials that they have.
    ///
    /// # Errors
    /// Those of receiving and decoding a message, of merging, and of the executor.
    pub(crate) async fn measure_gradients(
        &self,
        context: CallContext,
        mut messages: Messages<pb::MeasureGradientsRequest>,
    ) -> Result<pb::MeasureGradientsResponse, Error> {
        let limit = self.limits.message;
        let mut measured = Measured { total: None, elements: Elements::None };
        while let Some(message) = messages.next(limit).await? {
            measured = self.measure(&context, measured, message).await?;
        }
        let Measured { total, elements } = measured;
        let total = total.unwrap_or_else(|| Box::new(NormPartial::new(NormOrder::Two)));
        context.record.describe_streamed(total.order(), elements, total.elements());
        Ok(wire::encode_norm(&total))
    }

    async fn measure(
        &self,
        context: &CallContext,
        measured: Measured,
        message: Arrived<pb::MeasureGradientsRequest>,
    ) -> Result<Measured, Error> {
        let (limit, record) = (self.limits.message, &context.record);
        if message.is_heavy(Method::MeasureGradients) {
            let described = record.clone();
            let job = move |checkpoint: &dyn evenkeel_kernels::Checkpoint| {
                let request = message.decode()?;
                checkpoint.check()?;
                let call = wire::MeasureGradients::decode(request, measured.order(), limit)?;
                measured.describe(call.order, &call.views(), &described);
                add(measured, &call, checkpoint)
            };
            return context.run(&self.executor, std::time::Duration::MAX, job).await;
        }
        let call = wire::MeasureGradients::decode(message.decode()?, measured.order(), limit)?;
        let views = call.views();
        measured.describe(call.order, &views, record);
        if call.is_empty() {
            let Measured { total, elements } = measured;
            let total = total.or_else(|| call.says_order.then(|| Box::new(NormPartial::new(call.order))));
            return Ok(Measured { total, elements });
        }
        let estimate = Work::Measure.estimate(&views, call.parts());
        let call = Box::new(call);
        context.run(&self.executor, estimate, move |checkpoint| add(measured, &call, checkpoint)).await
    }
}

/// Adds a message to the norm of the messages before it.
fn add(
    measured: Measured,
    call: &wire::MeasureGradients,
    checkpoint: &dyn evenkeel_kernels::Checkpoint,
) -> Result<Measured, Error> {
    let Measured { total, elements } = measured;
    let mut total = total.unwrap_or_else(|| Box::new(NormPartial::new(call.order)));
    call.merge_partials(&mut total, checkpoint)?;
    let views = call.views();
    if !views.is_empty() {
        let of_message = measure_gradients(call.order, &views, checkpoint)?;
        total.merge(&of_message).map_err(|error| Error::invalid("gradients", error.to_string()))?;
    }
    Ok(Measured { total: Some(total), elements: elements.join(Elements::of(&views)) })
}
