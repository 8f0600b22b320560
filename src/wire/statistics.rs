//! The messages of statistics that merge.

use evenkeel_exact::{InvalidStatistics, SetStatistics};
use evenkeel_kernels::{Checkpoint, NormKind, StatisticsPartial, Violations};
use evenkeel_proto::{self as proto, v1 as pb};

use super::{Path, decode_kind, tensor::decode_dims};
use crate::error::Error;

/// The number of sets that are checked, or merged, between two checkpoints: a millisecond at most, however long their
/// sums are.
pub(crate) const SETS_IN_A_ROW: usize = 64;

/// Decodes statistics. [`check`] has yet to check whether elements can have the sums of the sets, which takes longer.
/// `None`: `found` has the reasons.
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

/// Passes to `tell` each sum of a set that is not measured for this kind.
fn look_at_kind(set: &SetStatistics, kind: NormKind, mut tell: impl FnMut(&'static str, String)) {
    if !kind.is_centred() && !set.sum.is_zero() {
        tell("sum", "expected 0, since RMS and L2 do not subtract the mean".into());
    }
    if !kind.has_running_statistics() && set.gradients.is_some() {
        tell("sum_of_gradients", "expected none: gradients are measured for BATCH and INSTANCE only".into());
    }
}

/// Checks whether elements can have the sums of each set.
///
/// # Errors
/// [`Error::Invalid`] with the faults of all sets; [`Error::Cancelled`].
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

/// As [`check`], for the first `most` sets of a request that has other faults. Returns the number of sets that were
/// checked.
pub(super) fn look(statistics: &StatisticsPartial, path: Path, most: usize, found: &mut Violations) -> usize {
    let sets = statistics.sets().len().min(most);
    StatisticsPartial::faults_of(statistics.sets(), 0..sets, |fault| add(path, &fault, found));
    sets
}

fn add(path: Path, fault: &InvalidStatistics, found: &mut Violations) {
    found.add_with(|| (path.join(&format!(".{}", fault.field())), fault.to_string()));
}

/// The message with these statistics.
pub(crate) fn encode_statistics(statistics: &StatisticsPartial) -> pb::StatisticsPartial {
    proto::encode_statistics(super::encode_kind(*statistics.kind()), statistics)
}

/// The memory that the message with these statistics takes, decoded and encoded, in bytes. It does not include the
/// statistics themselves.
pub(crate) fn encoded_bytes(statistics: &StatisticsPartial) -> usize {
    /// The bytes of a set in the message, with the allocator's overhead for each of its four sums.
    const PER_SET: usize = size_of::<pb::SetStatistics>() + 4 * 64;
    2 * statistics.bytes() + statistics.sets().len() * PER_SET
}
