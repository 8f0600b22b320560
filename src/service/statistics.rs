//! MeasureStatistics: the parts of tensors come one after the other, each in any number of messages.

use std::{mem, time::Duration};

use bytes::Bytes;
use evenkeel_exact::StatisticsMismatch;
use evenkeel_kernels::{Checkpoint, DType, StatisticsMeter, StatisticsPartial, Violations};
use evenkeel_proto::v1 as pb;
use prost::Message as _;

use super::{
    CallContext, Service, check_size,
    messages::{Arrived, Messages},
    tensor_stream::beyond,
};
use crate::{
    budget::Scratch,
    error::Error,
    estimate,
    grpc::Method,
    metrics::Elements,
    observe::CallRecord,
    wire::{self, Header},
};

/// The statistics of all messages so far.
#[derive(Default)]
struct Measured {
    /// The merged statistics of all parts that are complete, and of all partials.
    total: Option<StatisticsPartial>,
    /// The bytes that are reserved for `total`.
    reserved: usize,
    /// The part that is being measured.
    part: Option<Part>,
    dtypes: Elements,
    /// The number of elements of all parts that have begun. Those of partials are not counted.
    elements: u64,
}

/// A part of which elements are missing.
struct Part {
    /// The field of the request that has the header of the part.
    field: &'static str,
    meter: StatisticsMeter,
    dtype: DType,
    /// Whether the part has no elements, so that its statistics change nothing.
    is_empty: bool,
    /// The first bytes of an element and of its gradient, if a message has ended within them.
    cut: [Vec<u8>; 2],
    _scratch: Scratch,
}

impl Part {
    /// The bytes of the input that have not come.
    fn missing(&self) -> usize {
        self.meter.missing() - self.cut[0].len()
    }
}

impl Service {
    /// Measures the parts of all messages, and merges the partials that they have. `respond` makes the response from the answer. It
    /// runs where the answer is computed, since the answer may take long to encode.
    ///
    /// # Errors
    /// Those of receiving and decoding a message, of merging, of reservations and of the executor; [`Error::ResponseTooLarge`].
    pub(crate) async fn measure_statistics<T: Send + 'static>(
        &self,
        context: CallContext,
        mut messages: Messages<pb::MeasureStatisticsRequest>,
        respond: fn(pb::StatisticsPartial) -> T,
    ) -> Result<T, Error> {
        let limit = self.limits.message;
        let mut measured = Box::<Measured>::default();
        while let Some(message) = messages.next(limit).await? {
            measured = self.take(&context, measured, message).await?;
        }
        if let Some(part) = &measured.part {
            return Err(Error::invalid("data", format!("the last {} bytes of the part are missing", part.missing())));
        }
        let sets = measured.total.as_ref().map_or(0, |total| total.sets().len());
        let of_call = context.clone();
        let finish = move |_: &dyn Checkpoint| {
            let Measured { total, dtypes, elements, .. } = *measured;
            let Some(total) = total else {
                return Err(Error::invalid("header", "is required: there are neither parts nor partials"));
            };
            context.record.describe_streamed(*total.kind(), dtypes, elements);
            context.reservation.reserve(wire::encoded_bytes(&total))?;
            let answer = wire::encode_statistics(&total);
            check_size(answer.encoded_len(), limit)?;
            Ok(respond(answer))
        };
        of_call.run(&self.executor, estimate::statistics(0, sets), finish).await
    }

    async fn take(
        &self,
        context: &CallContext,
        mut measured: Box<Measured>,
        message: Arrived<pb::MeasureStatisticsRequest>,
    ) -> Result<Box<Measured>, Error> {
        let (limit, of_call, context) = (self.limits.message, context, context.clone());
        if message.is_heavy(Method::MeasureStatistics) {
            let job = move |checkpoint: &dyn Checkpoint| {
                let request = message.decode()?;
                checkpoint.check()?;
                let request = wire::MeasureStatistics::decode(request, limit)?;
                measured.describe(&request, &context.record);
                measured.add(request, &context, checkpoint)?;
                Ok(measured)
            };
            return of_call.run(&self.executor, Duration::MAX, job).await;
        }
        let request = wire::MeasureStatistics::decode(message.decode()?, limit)?;
        measured.describe(&request, &of_call.record);
        let estimate = measured.estimate(&request);
        let job = move |checkpoint: &dyn Checkpoint| {
            measured.add(request, &context, checkpoint)?;
            Ok(measured)
        };
        of_call.run(&self.executor, estimate, job).await
    }
}

impl Measured {
    /// Describes the call with what begins in another message, for the log of a call that ends early.
    fn describe(&self, request: &wire::MeasureStatistics, record: &CallRecord) {
        let header = request.header.as_ref();
        let of_partial = || request.partials.first().map(|partial| *partial.kind());
        if let Some(kind) = header.map(|header| header.spec.kind).or_else(of_partial) {
            let (dtypes, elements) = header.map_or((self.dtypes, self.elements), |header| self.with(header));
            record.describe_begun(kind, dtypes, elements);
        }
    }

    /// The time to add a message.
    fn estimate(&self, request: &wire::MeasureStatistics) -> Duration {
        // The sets of the part that is being measured are merged when it is complete.
        let completed = self.part.as_ref().filter(|part| part.missing() <= request.data.len());
        let sets = completed.map_or(0, |part| part.meter.measured().1.iter().product());
        estimate::statistics(request.bytes(), request.sets() + sets)
    }

    /// The dtypes and the number of elements with those of another part.
    fn with(&self, header: &Header) -> (Elements, u64) {
        let elements = header.shape.iter().map(|&len| len as u64).product();
        (self.dtypes.join(header.dtype.into()), self.elements.saturating_add(elements))
    }

    /// Adds a message.
    fn add(
        &mut self,
        request: wire::MeasureStatistics,
        context: &CallContext,
        checkpoint: &dyn Checkpoint,
    ) -> Result<(), Error> {
        request.check_partials(checkpoint)?;
        let wire::MeasureStatistics { header, partials, data, grad_data } = request;
        for (index, partial) in partials.into_iter().enumerate() {
            let field = |mismatch: StatisticsMismatch| format!("partials[{index}].{}", mismatch.field());
            self.merge(partial, context, field, checkpoint)?;
        }
        if let Some(header) = header {
            self.begin(header, context, checkpoint)?;
        }
        if !data.is_empty() || !grad_data.is_empty() {
            self.measure([data, grad_data], checkpoint)?;
        }
        self.finish_part(context, checkpoint)
    }

    /// Begins a part.
    fn begin(&mut self, header: Header, context: &CallContext, checkpoint: &dyn Checkpoint) -> Result<(), Error> {
        let (dtypes, elements_of_all) = self.with(&header);
        let Header { field, spec, dtype, shape, has_gradients, demand, elements } = header;
        if let Some(part) = &self.part {
            let reason = format!("comes before the last {} bytes of the part before it", part.missing());
            return Err(Error::invalid(field, reason));
        }
        let scratch = context.reservation.reserve_with_scratch(0, demand.results.saturating_add(demand.scratch))?;
        let meter = StatisticsMeter::new(&spec, dtype, &shape, has_gradients)?;
        self.check_part(field, &meter)?;
        (self.dtypes, self.elements) = (dtypes, elements_of_all);
        let (is_empty, cut) = (shape.contains(&0), [Vec::new(), Vec::new()]);
        self.part = Some(Part { field, meter, dtype, is_empty, cut, _scratch: scratch });
        elements.map_or(Ok(()), |elements| self.measure(elements, checkpoint))
    }

    /// Refuses a part whose statistics would not merge with those before it, before it is measured.
    fn check_part(&self, field: &str, meter: &StatisticsMeter) -> Result<(), Error> {
        let Some(total) = &self.total else { return Ok(()) };
        let (kind, shape, has_gradients) = meter.measured();
        let mut found = Violations::new();
        if kind != *total.kind() {
            found.add(format!("{field}.kind"), "expected the kind of the statistics before it");
        } else if shape != total.shape() {
            let reason = format!("its sets have the shape {shape:?}, and those before it {:?}", total.shape());
            found.add(format!("{field}.input.shape"), reason);
        } else if has_gradients != total.has_gradients() && !total.sets().is_empty() {
            let (with, without) = ("measured with gradients", "measured without gradients");
            let (this, before) = if has_gradients { (with, without) } else { (without, with) };
            found.add(field.to_owned(), format!("is {this}, and what came before it was {before}"));
        }
        Ok(found.into_result()?)
    }

    /// Measures the next elements of the part, and their gradients.
    fn measure(&mut self, [mut data, mut gradients]: [Bytes; 2], checkpoint: &dyn Checkpoint) -> Result<(), Error> {
        let Some(part) = &mut self.part else {
            let field = if data.is_empty() { "grad_data" } else { "data" };
            return Err(Error::invalid(field, "there is no part that it belongs to: each begins with a header"));
        };
        let (missing, has_gradients) = (part.missing(), part.meter.measured().2);
        let Part { meter, dtype, cut, .. } = part;
        let expected = if has_gradients { data.len() } else { 0 };
        let mut found = Violations::new();
        if let Some(reason) = beyond(missing, &data) {
            found.add("data", reason);
        }
        if gradients.len() != expected {
            let as_many = if has_gradients { ", as many as of `data`" } else { ", since no gradients are measured" };
            found.add("grad_data", format!("expected {expected} bytes{as_many}, got {}", gradients.len()));
        }
        found.into_result()?;
        let size = dtype.size();
        if !cut[0].is_empty() {
            let rest = (size - cut[0].len()).min(data.len());
            cut[0].extend_from_slice(&data.split_to(rest));
            cut[1].extend_from_slice(&gradients.split_to(rest.min(gradients.len())));
            if cut[0].len() < size {
                return Ok(());
            }
            let [element, gradient] = cut.each_mut().map(mem::take);
            meter.add(&element, &gradient, checkpoint)?;
        }
        let whole = data.len() / size * size;
        cut[0] = data.split_off(whole).to_vec();
        cut[1] = gradients.split_off(whole.min(gradients.len())).to_vec();
        Ok(meter.add(&data, &gradients, checkpoint)?)
    }

    /// Merges the part, if nothing of it is missing.
    fn finish_part(&mut self, context: &CallContext, checkpoint: &dyn Checkpoint) -> Result<(), Error> {
        let Some(Part { field, meter, is_empty, _scratch, .. }) = self.part.take_if(|part| part.meter.missing() == 0)
        else {
            return Ok(());
        };
        if is_empty && self.total.is_some() {
            return Ok(());
        }
        let statistics = meter.finish(checkpoint)?;
        // `check_part` compared the part with the statistics before it. Partials that came since may differ.
        let of_part = |mismatch| match mismatch {
            StatisticsMismatch::Kinds => format!("{field}.kind"),
            StatisticsMismatch::Shapes | StatisticsMismatch::TooManyElements => format!("{field}.input.shape"),
            StatisticsMismatch::Gradients => field.to_owned(),
        };
        self.merge(statistics, context, of_part, checkpoint)
    }

    /// Merges statistics into the total. `field` returns the name of the field that does not fit.
    fn merge(
        &mut self,
        statistics: StatisticsPartial,
        context: &CallContext,
        field: impl FnOnce(StatisticsMismatch) -> String,
        checkpoint: &dyn Checkpoint,
    ) -> Result<(), Error> {
        let Some(total) = &mut self.total else {
            self.reserved = statistics.bytes();
            context.reservation.reserve(self.reserved)?;
            self.total = Some(statistics);
            return Ok(());
        };
        if let Some(mismatch) = total.mismatch(&statistics) {
            return Err(Error::invalid(field(mismatch), mismatch.to_string()));
        }
        // The sum of a large and a small number may be longer than both.
        let needed = total.merged_bytes(&statistics);
        context.reservation.reserve(needed.saturating_sub(self.reserved))?;
        self.reserved = self.reserved.max(needed);
        let sets = total.sets().len();
        for first in (0..sets).step_by(wire::SETS_IN_A_ROW) {
            checkpoint.check()?;
            total.merge_sets(&statistics, first..sets.min(first + wire::SETS_IN_A_ROW));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_kernels::Uninterrupted;
    use pb::measure_statistics_request::Part;

    use super::*;

    /// The first message of a part is as short as its bytes. The last one takes as long as all sets.
    #[test]
    fn only_the_message_that_completes_a_part_takes_its_sets() {
        let input = pb::Tensor { dtype: pb::DataType::Float32.into(), shape: vec![2, 1000], ..Default::default() };
        let header =
            pb::NormalizeRequest { kind: pb::NormKind::Batch.into(), input: Some(input), ..Default::default() };
        let decoded = |message| wire::MeasureStatistics::decode(message, 1 << 20).expect("it is valid");
        let header = pb::MeasureStatisticsRequest { part: Some(Part::Header(header)), ..Default::default() };
        let data = |len| decoded(pb::MeasureStatisticsRequest { data: vec![0; len].into(), ..Default::default() });
        let context = CallContext::detached(Method::MeasureStatistics, 1 << 20);
        let mut measured = Measured::default();
        measured.add(decoded(header), &context, &Uninterrupted).expect("it is valid");
        assert!(measured.estimate(&data(7999)) < Duration::from_micros(10));
        assert!(measured.estimate(&data(8000)) > Duration::from_millis(10));
    }
}
