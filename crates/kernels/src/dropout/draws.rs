//! The assignment of draws to elements.

use std::ops::Range;

use evenkeel_exact::Brief;

use super::{Dropout, DropoutScaling};
use crate::Violations;

/// How a tensor is covered by draws: draw `n * channels + c` is that of all elements of channel `c` in sample `n`. Where
/// each element has a draw of its own, the tensor is one sample, and its elements are the channels.
#[derive(Debug)]
pub(super) struct Draws {
    count: usize,
    /// The number of channels.
    channels: usize,
    /// The number of times that the channels come one after another in a sample: the product of the dimensions between
    /// axis 0 and the channels' axis.
    repeats: usize,
    /// The number of consecutive elements of one channel: the product of the dimensions behind the channels' axis.
    run: usize,
}

/// Adds the violations that do not depend on the shape.
pub(super) fn check(spec: &Dropout, found: &mut Violations) {
    if !(0.0..=1.0).contains(&spec.p) {
        found.add("p", format!("expected a probability in [0, 1], got {}", Brief(spec.p)));
    }
    if spec.kind.is_alpha() && spec.scaling == DropoutScaling::None {
        found.add("scaling", "the alpha kinds have their own scaling; NONE does not apply");
    }
    match spec.channel_axis {
        Some(_) if !spec.kind.by_channel() => {
            found.add("channel_axis", "only kinds CHANNEL and FEATURE_ALPHA have channels");
        }
        Some(0) => found.add("channel_axis", "axis 0 is that of the samples, got 0"),
        Some(_) | None => {}
    }
}

impl Draws {
    /// The draws of a tensor of this shape.
    pub(super) fn of(spec: &Dropout, shape_field: &'static str, shape: &[usize]) -> Result<Self, Violations> {
        let mut found = Violations::new();
        check(spec, &mut found);
        let draws = Self::find(spec, shape_field, shape, &mut found);
        found.into_result().map(|()| draws.expect("without a violation there are draws"))
    }

    /// As [`of`](Self::of), without the violations that [`check`] adds.
    pub(super) fn find(
        spec: &Dropout,
        shape_field: &'static str,
        shape: &[usize],
        found: &mut Violations,
    ) -> Option<Self> {
        let (samples, channels, repeats, run) = if spec.kind.by_channel() {
            let axis = channel_axis(spec, shape_field, shape.len(), found)?;
            let product = |dims: &[usize]| dims.iter().product::<usize>();
            (shape[0], shape[axis], product(&shape[1..axis]), product(&shape[axis + 1..]))
        } else {
            (1, shape.iter().product(), 1, 1)
        };
        let count = samples * channels;
        let last = (count as u64).saturating_sub(1);
        if spec.offset.checked_add(last).is_none() {
            found.add("offset", format!("{} with {count} draws runs past the end of the stream, 2^64", spec.offset));
            return None;
        }
        Some(Self { count, channels, repeats, run })
    }

    /// The number of draws.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The number of elements that share a draw.
    pub(super) fn elements(&self) -> usize {
        self.repeats * self.run
    }

    /// The number of consecutive elements that share a draw.
    pub(super) fn run(&self) -> usize {
        self.run
    }

    /// Whether each element has a draw of its own, in the order of the elements.
    pub(super) fn are_of_elements(&self) -> bool {
        self.elements() == 1
    }

    /// The draw of run `run`.
    pub(super) fn of_run(&self, run: usize) -> usize {
        let sample = run / (self.channels * self.repeats);
        sample * self.channels + run % self.channels
    }

    /// The draws of the elements from `element` on, which are neighbours; and how many elements these are, at most `len`.
    pub(super) fn neighbours(&self, element: usize, len: usize) -> (Range<usize>, usize) {
        // The channels once, one after another.
        let pass = self.channels * self.run;
        let left = pass - element % pass;
        if self.repeats == 1 || left >= len || pass > len {
            // Within one pass, or of samples that have no other; else a part is cut where a pass ends.
            let taken = if self.repeats == 1 { len } else { len.min(left) };
            let last = self.of_run((element + taken - 1) / self.run);
            return (self.of_run(element / self.run)..last + 1, taken);
        }
        // A part of many short passes has the draws of whole samples, which are no more than its elements and two samples'.
        let sample = pass * self.repeats;
        let samples = element / sample..(element + len - 1) / sample + 1;
        (samples.start * self.channels..samples.end * self.channels, len)
    }

    /// How many draws have an element before `element`.
    pub(super) fn begun_before(&self, element: usize) -> usize {
        let sample = self.channels * self.elements();
        if sample == 0 {
            return 0;
        }
        let within = (element % sample).div_ceil(self.run).min(self.channels);
        element / sample * self.channels + within
    }

    /// A bit for each of the `len` elements from element `first` on. `mask`: the draws from one on, and which one that is.
    pub(super) fn spread(&self, (mask, begin): (&[u8], usize), first: usize, len: usize) -> Vec<u8> {
        let (mut bits, mut element, end) = (BitWriter::with_capacity(len), first, first + len);
        while element < end {
            let run = element / self.run;
            let draw = self.of_run(run) - begin;
            // Where a run is one element, the elements of consecutive channels are neighbours, and so are their draws.
            let alike =
                if self.run == 1 { self.channels - run % self.channels } else { (run + 1) * self.run - element };
            let taken = alike.min(end - element).min(BitWriter::MOST);
            bits.push(if self.run == 1 { bits_from(mask, draw) } else { repeated(bit(mask, draw)) }, taken);
            element += taken;
        }
        bits.finish()
    }
}

/// The axis of the channels.
fn channel_axis(spec: &Dropout, shape_field: &'static str, rank: usize, found: &mut Violations) -> Option<usize> {
    if rank < 2 {
        found.add(shape_field, format!("dropping channels needs rank 2 or more, (N, C, ...), got rank {rank}"));
        return None;
    }
    let given = spec.channel_axis.unwrap_or(1);
    let from_start = if given < 0 { i64::from(given) + rank as i64 } else { i64::from(given) };
    match usize::try_from(from_start) {
        Ok(axis) if (1..rank).contains(&axis) => return Some(axis),
        Ok(0) if given < 0 => found.add("channel_axis", format!("axis 0 is that of the samples, got {given}")),
        Ok(0) => {} // `check` has added it
        Ok(_) | Err(_) => found.add("channel_axis", format!("{given} is not an axis of a tensor of rank {rank}")),
    }
    None
}

/// Bit `index`.
pub(super) fn bit(bits: &[u8], index: usize) -> bool {
    bits[index / 8] >> (index % 8) & 1 == 1
}

/// The bits from bit `first` on, at least [`BitWriter::MOST`] of them if there are so many, and zeros.
fn bits_from(bits: &[u8], first: usize) -> u64 {
    let bytes = &bits[first / 8..];
    let mut eight = [0; 8];
    let count = bytes.len().min(8);
    eight[..count].copy_from_slice(&bytes[..count]);
    u64::from_le_bytes(eight) >> (first % 8)
}

fn repeated(bit: bool) -> u64 {
    if bit { u64::MAX } else { 0 }
}

/// Puts bits together to bytes, the least significant bit first.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// The bits that do not fill a byte yet.
    pending: u64,
    count: usize,
}

impl BitWriter {
    /// The most bits that are pushed at a time: with up to 7 pending ones they fit 64.
    const MOST: usize = 56;

    fn with_capacity(bits: usize) -> Self {
        Self { bytes: Vec::with_capacity(bits.div_ceil(8)), pending: 0, count: 0 }
    }

    /// Appends the `count` lowest of `bits`.
    fn push(&mut self, bits: u64, count: usize) {
        self.pending |= (bits & ((1 << count) - 1)) << self.count;
        self.count += count;
        let whole = self.count / 8;
        self.bytes.extend_from_slice(&self.pending.to_le_bytes()[..whole]);
        self.pending >>= 8 * whole;
        self.count %= 8;
    }

    /// Appends the first `count` of `bits`.
    pub(super) fn append(&mut self, bits: Vec<u8>, count: usize) {
        if self.count == 0 && self.bytes.is_empty() && count.is_multiple_of(8) {
            self.bytes = bits;
            return;
        }
        let mut left = count;
        for eight in bits.chunks(Self::MOST / 8) {
            let mut bytes = [0; 8];
            bytes[..eight.len()].copy_from_slice(eight);
            let taken = left.min(Self::MOST);
            self.push(u64::from_le_bytes(bytes), taken);
            left -= taken;
        }
    }

    /// How many whole bytes there are.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes the whole bytes.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// The bytes; the last one is padded with 0.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.bytes.push(self.pending as u8);
        }
        self.bytes
    }
}
