//! Statistics that merge.

use evenkeel_exact::{InvalidStatistics, SetStatistics};
use evenkeel_kernels::{Checkpoint, NormKind, StatisticsPartial, Violations};
use evenkeel_proto::{self as proto, v1 as pb};

use super::{Path, decode_kind, tensor::decode_dims};
use crate::error::Error;

/// Sets that are looked into, or merged, before it is asked whether to go on: a millisecond at most, whatever sums they have.
pub(crate) const SETS_IN_A_ROW: usize = 64;

/// Statistics as they came: their form is right, and [`check`] has not looked into their sets.
pub(super) fn decode(message: pb::StatisticsPartial, path: Path, found: &mut Violations) -> Option<StatisticsPartial> {
    let pb::StatisticsPartial { kind, shape, sets } = message;
    let kind = decode_kind(|| path.join(".kind"), kind, found);
    let shape = decode_dims(&shape, path, found);
    let before = (found.iter().len(), found.left_out());
    let mut decoded = Vec::with_capacity(sets.len());
    for (index, set) in sets.into_iter().enumerate() {
        let mut tell = |field: &str, reason: String| {
            found.add_with(|| (path.join(&format!(".sets[{index}].{field}")), reason));
        };
        let set = proto::decode_set(set, &mut tell);
        if let Some(kind) = kind {
            look_at_kind(&set, kind, &mut tell);
        }
        decoded.push(set);
    }
    let fault = shape.as_deref().and_then(|shape| StatisticsPartial::shape_fault(shape, decoded.len()));
    if let Some(fault) = &fault {
        add(path, fault, found);
    }
    let is_right = fault.is_none() && before == (found.iter().len(), found.left_out());
    is_right.then_some(())?;
    Some(StatisticsPartial::unchecked(kind?, shape?, decoded))
}

/// Tells what a set has that is not measured for its kind.
fn look_at_kind(set: &SetStatistics, kind: NormKind, mut tell: impl FnMut(&'static str, String)) {
    if !kind.is_centred() && !set.sum.is_zero() {
        tell("sum", "expected 0, since RMS and L2 do not subtract the mean".into());
    }
    if !kind.has_running_statistics() && set.gradients.is_some() {
        tell("sum_of_gradients", "expected none: gradients are measured for BATCH and INSTANCE only".into());
    }
}

/// Looks into the sets of statistics: whether there are elements that have them.
///
/// # Errors
/// [`Error::Invalid`] for all that no elements have; [`Error::Cancelled`].
pub(super) fn check(statistics: &StatisticsPartial, path: Path, checkpoint: &dyn Checkpoint) -> Result<(), Error> {
    let mut found = Violations::new();
    let sets = statistics.sets();
    for first in (0..sets.len()).step_by(SETS_IN_A_ROW) {
        checkpoint.check()?;
        let range = first..sets.len().min(first + SETS_IN_A_ROW);
        StatisticsPartial::faults_of(sets, range, |fault| add(path, &fault, &mut found));
    }
    Ok(found.into_result()?)
}

/// As [`check`], beside a request that is wrong already: of `most` sets at most. Returns of how many.
pub(super) fn look(statistics: &StatisticsPartial, path: Path, most: usize, found: &mut Violations) -> usize {
    let sets = statistics.sets().len().min(most);
    StatisticsPartial::faults_of(statistics.sets(), 0..sets, |fault| add(path, &fault, found));
    sets
}

fn add(path: Path, fault: &InvalidStatistics, found: &mut Violations) {
    found.add_with(|| (path.join(&format!(".{}", fault.field())), fault.to_string()));
}

/// As it is sent.
pub(crate) fn encode_statistics(statistics: &StatisticsPartial) -> pb::StatisticsPartial {
    proto::encode_statistics(super::encode_kind(*statistics.kind()), statistics)
}

/// The bytes of memory that statistics take as a message and encoded, beside themselves.
pub(crate) fn encoded_bytes(statistics: &StatisticsPartial) -> usize {
    /// A set, and what the allocator adds to each of its four sums.
    const PER_SET: usize = size_of::<pb::SetStatistics>() + 4 * 64;
    2 * statistics.bytes() + statistics.sets().len() * PER_SET
}
