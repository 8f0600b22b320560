//! A normalization that is computed while its tensor arrives.

use std::{mem, sync::Arc, time::Duration};

use bytes::Bytes;
use evenkeel_frames::Bulk as _;
use evenkeel_kernels::{Checkpoint, NormalizationByParts, Normalized, PartStatistics, Uninterrupted};
use evenkeel_proto::v1 as pb;
use prost::{
    Message,
    encoding::{encoded_len_varint, key_len},
};

use super::{CallContext, Service, check_size, reserve};
use crate::{
    budget::Scratch,
    error::Error,
    estimate::{self, Work},
    executor::Pieces,
    ops::normalize_demand_of,
    wire::{self, AnswerSize, Description},
};

/// Where frames are small, so many bytes of them are put together before anything is computed.
const WORTH_A_CALL: usize = 1 << 15;

/// The bytes of the output that are handed on at once: few enough to be in a core's cache still when they are sent, enough
/// to be worth a system call and a buffer of the pool.
const SHEET: usize = 1 << 19;

/// A call of which everything is known but the elements of its input.
pub(crate) struct Arriving {
    service: Arc<Service>,
    context: CallContext,
    /// What its statistics take until they are an answer.
    scratch: Scratch,
    /// How many sets have statistics.
    sets: usize,
    call: wire::Normalize<Description>,
    parts: Arc<NormalizationByParts>,
    pieces: Pieces,
    /// Those that the answer is made of; empty if it gives none.
    statistics: Vec<PartStatistics>,
    /// The bytes of the input that were taken.
    taken: usize,
    /// Where the next parts are written, and how much of it is.
    sheet: Vec<u8>,
    written: usize,
    /// The last part lay within a frame: frames are large.
    in_place: bool,
}

impl Service {
    /// Begins a call whose input's `data_len` bytes are still on their way. `None`: it cannot be computed in parts, or is
    /// not right. What is wrong is found again when all of it is there.
    pub(crate) fn normalize_arriving(
        self: &Arc<Self>,
        context: &CallContext,
        request: pb::NormalizeRequest,
        data_len: usize,
    ) -> Option<Arriving> {
        // What merged statistics are looked into and computed with takes longer than this thread may be taken.
        if request.statistics.is_some() {
            return None;
        }
        let call = wire::Normalize::arriving(request, data_len, self.max_message_bytes).ok()?;
        let pieces = self.executor.pieces(&context.record)?;
        if !pieces.is_here(estimate::parameters(call.parameters.elements())) {
            return None;
        }
        let (dtype, shape) = (call.input.dtype(), call.input.shape());
        let parts =
            NormalizationByParts::new(&call.spec, &call.parameters.view(), dtype, shape, &Uninterrupted).ok()?;
        if parts.part_len() >= parts.total_len() {
            return None;
        }
        let demand = normalize_demand_of(&call).ok()?;
        let size = AnswerSize::of([&call.input], demand.results);
        let scratch = reserve(context, &demand, size, self.max_message_bytes).ok()?;
        context.record.describe_one(call.spec.kind, dtype, shape);
        let service = Arc::clone(self);
        Some(Arriving {
            service,
            context: context.clone(),
            scratch,
            sets: demand.units,
            call,
            parts: Arc::new(parts),
            pieces,
            statistics: Vec::new(),
            taken: 0,
            sheet: Vec::new(),
            written: 0,
            in_place: true,
        })
    }
}

impl Arriving {
    /// The bytes of the output, and of the input.
    pub(crate) fn data_len(&self) -> usize {
        self.parts.total_len()
    }

    /// The answer without its elements, if nothing of it depends on them and it is not too large: they may follow it as they
    /// are computed.
    pub(crate) fn foreseen(&self) -> Option<pb::NormalizeResponse> {
        if self.gives_statistics() {
            return None;
        }
        let axes = self.parts.axes().to_vec();
        let output = Bytes::new();
        let result = Normalized { axes, mean: None, rstd: None, running_mean: None, running_var: None, output };
        let answer = self.call.encode(result);
        check_size(len_with_data(&answer, self.data_len()), self.service.max_message_bytes).ok().map(|()| answer)
    }

    /// The bytes of the next part, where `here` bytes lie in one frame; `None`: there was the last.
    pub(crate) fn wants(&self, here: usize) -> Option<usize> {
        let (unit, missing) = (self.parts.unit_len(), self.data_len() - self.taken);
        // A sheet has room for whole units alone.
        let room = if self.written < self.sheet.len() { self.sheet.len() - self.written } else { missing };
        let most = self.parts.part_len().min(room);
        let in_place = here.min(most) / unit * unit;
        let gathered = if self.in_place { unit } else { WORTH_A_CALL.next_multiple_of(unit) };
        (missing > 0).then(|| if in_place < gathered { gathered.min(most) } else { in_place })
    }

    /// Normalizes the next part, as many bytes as are [wanted](Self::wants), of which `here` lay in one frame. Returns the
    /// next stretch of the output, if it is written.
    pub(crate) async fn take(&mut self, part: Bytes, here: usize) -> Result<Option<Bytes>, Error> {
        let (keeps, len, estimate) = (self.gives_statistics(), part.len(), self.estimate(part.len()));
        let Self { service, context, parts, pieces, statistics, taken, sheet, written, in_place, .. } = self;
        let buffers = service.executor.buffers();
        if sheet.is_empty() {
            let unit = parts.unit_len();
            let len = (SHEET / unit * unit).max(parts.part_len());
            *sheet = buffers.take(len.min(parts.total_len() - *taken));
        }
        let (from, at) = (*taken, *written);
        let of_part = if pieces.is_here(estimate) {
            let output = &mut sheet[at..][..len];
            pieces.run(|checkpoint| Ok(parts.normalize(from, &part, output, checkpoint)?)).await?
        } else {
            let (parts, mut output) = (Arc::clone(parts), mem::take(sheet));
            // The piece may outlive its call, and its bytes with it.
            let reservation = Arc::clone(&context.reservation);
            let piece = move |checkpoint: &dyn Checkpoint| {
                let _reserved = reservation;
                let of_part = parts.normalize(from, &part, &mut output[at..][..len], checkpoint)?;
                Ok((of_part, output))
            };
            let (of_part, output) = pieces.run_apart(estimate, piece).await?;
            *sheet = output;
            of_part
        };
        if keeps {
            statistics.push(of_part);
        }
        *taken += len;
        *in_place = here >= len;
        *written += len;
        let full = *written == sheet.len();
        Ok(full.then(|| {
            *written = 0;
            buffers.lend(mem::take(sheet))
        }))
    }

    /// The answer without its elements, once all of the input was taken.
    pub(crate) async fn finish(self) -> Result<pb::NormalizeResponse, Error> {
        let gives_statistics = self.gives_statistics();
        let Self { service, context, scratch, sets, call, parts, pieces, statistics, .. } = self;
        // It has run, whatever becomes of the answer: whoever sees that finds it counted.
        drop(pieces);
        let parts = Arc::into_inner(parts).expect("a part that was computed is not held any more");
        let limit = service.max_message_bytes;
        let finish = move || {
            let _scratch = scratch;
            let data_len = parts.total_len();
            let result = parts.finish(&call.parameters.view(), call.return_statistics, statistics);
            let answer = call.encode(result.map_output(|()| Bytes::new()));
            check_size(len_with_data(&answer, data_len), limit).map(|()| answer)
        };
        if !gives_statistics {
            return finish();
        }
        // Rows may be of one element: there are as many statistics then.
        let estimate = Work::Normalize.estimate(&[], sets);
        service.executor.run(&context.record, estimate, move |_| finish()).await
    }

    /// How long a part of `len` bytes takes.
    fn estimate(&self, len: usize) -> Duration {
        let dtype = self.call.input.dtype();
        let share = (self.sets as u128 * len as u128).div_ceil(self.data_len().max(1) as u128);
        Work::Normalize.estimate_of([(dtype, len / dtype.size())], share as usize)
    }

    fn gives_statistics(&self) -> bool {
        self.parts.gives_statistics(self.call.return_statistics)
    }
}

/// The length of an answer that is here without its elements, `data_len` bytes.
fn len_with_data(answer: &pb::NormalizeResponse, data_len: usize) -> usize {
    let tensor = answer.output.as_ref().map_or(0, Message::encoded_len);
    let data = key_len(pb::Tensor::DATA) + encoded_len_varint(data_len as u64) + data_len;
    let prefix = |len: usize| encoded_len_varint(len as u64);
    answer.encoded_len() - prefix(tensor) + prefix(tensor + data) + data
}
