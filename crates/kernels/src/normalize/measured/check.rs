//! Checks that merged statistics belong to the sets of a part.

use super::{
    super::kind::{NormKind, those},
    StatisticsPartial,
};
use crate::Violations;

/// Adds the violations of statistics for a part whose sets have this shape. `set_len`: how many elements of each set
/// the part has; 0 if it has none at all.
pub(in super::super) fn check(
    statistics: &StatisticsPartial,
    kind: NormKind,
    shape: &[usize],
    set_len: usize,
    found: &mut Violations,
) {
    if *statistics.kind() != kind {
        let given = statistics.kind().wire_name();
        found.add("statistics.kind", format!("expected {}, got {given}", kind.wire_name()));
    }
    if statistics.shape() != shape {
        let reason = format!("expected {shape:?}, the shape of the input's sets, got {:?}", statistics.shape());
        found.add("statistics.shape", reason);
        return;
    }
    let elements = statistics.elements();
    if elements < set_len as u64 {
        let reason = format!("expected at least the {set_len} of each set that the input has, got {elements}");
        found.add("statistics.sets[0].elements", reason);
    }
    if let Some(what) = kind.pooled_for_each().filter(|_| elements == 1) {
        found.add("statistics.sets[0].elements", format!("statistics need more than one value for each {what}"));
    }
}

/// Adds the reasons why statistics do not suffice for gradients. `weighs_places`: whether there is a weight that is not
/// one number for each set.
pub(in super::super) fn check_backward(
    statistics: &StatisticsPartial,
    kind: NormKind,
    weighs_places: bool,
    found: &mut Violations,
) {
    if !kind.has_running_statistics() {
        // The kinds with running statistics are those whose weight is one number for each set.
        let kinds = those(NormKind::has_running_statistics);
        found.add("statistics", format!("gradients can be computed with merged statistics for {kinds} only"));
    } else if weighs_places {
        found.add("axes", "pool over the channel axis, but merged statistics need one weight for each set");
    } else if !statistics.has_gradients() {
        found.add("statistics.sets[0].sum_of_gradients", "required: grad_output has to be measured beside the input");
    }
}
