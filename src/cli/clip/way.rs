//! Whether gradients are clipped by one call or by several, and whether their norm has to be measured before.

use super::{Mode, Options, calls::Parcel};
use crate::cli::{
    pieces::{OVERHEAD, Part, Region, TARGET},
    report::ReportArgs,
    session::Reached,
};

/// How gradients are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// All in one message.
    Whole,
    /// In messages of at most so many bytes.
    Pieces {
        budget: usize,
        /// Whether the norm of all is measured first.
        measures: bool,
    },
}

impl Way {
    /// The way for gradients of these `sizes`, in bytes (of a tensor, of one of its elements); or the reason why there
    /// is none.
    pub(super) fn of(
        options: &Options,
        sizes: &[(usize, usize)],
        how: ReportArgs,
        reached: &Reached,
    ) -> Result<Self, String> {
        let all = sizes.iter().fold(0, |all: usize, (len, _)| all.saturating_add(len.saturating_add(OVERHEAD)));
        let limit = reached.limit();
        if all <= TARGET.min(limit) {
            return Ok(Self::Whole);
        }
        let needs_norm = match options.mode {
            Mode::Norm => options.total_norm.is_none(),
            Mode::NormPerTensor => true,
            // The threshold is one for values: only the report and `--error-if-nonfinite` need the norm.
            Mode::Value => !how.is_quiet() || options.error_if_nonfinite,
        };
        // A measured norm is rounded; to hold the exact norm below the threshold, one call must have all gradients.
        let is_held = options.not_above && needs_norm;
        if !is_held && (!needs_norm || adds_up(options.norm_type)) {
            return Ok(Self::Pieces { budget: TARGET.min(limit), measures: needs_norm });
        }
        if all <= limit {
            return Ok(Self::Whole);
        }
        let helps = if reached.is_own() {
            let helps = if is_held { "" } else { ": measure parts and give --total-norm" };
            format!("gRPC carries no more than 4 GiB{helps}")
        } else {
            format!(
                "the server takes {limit}: it may be started with a larger --max-message-bytes, or --server be left out"
            )
        };
        let why = if is_held {
            "--not-above holds the exact norm, which only a call that has all gradients knows, so that they".to_owned()
        } else {
            let order = options.norm_type.unwrap_or(2.0);
            format!(
                "norms of order {order} do not add up as those of order 1, 2 and inf (--norm-type) do, so that all gradients"
            )
        };
        Err(format!("{why} must be in one message of {all} bytes; {helps}"))
    }

    /// The bytes of the largest message.
    pub(super) fn largest(self, sizes: &[(usize, usize)]) -> usize {
        let all = sizes.iter().map(|(len, _)| len + OVERHEAD).sum();
        match self {
            Self::Whole => all,
            Self::Pieces { budget, measures: _ } => budget,
        }
    }
}

/// Everything in one message.
pub(super) fn whole(sizes: &[(usize, usize)]) -> Parcel {
    let part = |(tensor, &(len, _)): (usize, &(usize, usize))| Part { tensor, region: Region::run(0, len) };
    sizes.iter().enumerate().map(part).collect()
}

/// Whether norms of this order are exact, however the elements are divided.
fn adds_up(norm_type: Option<f64>) -> bool {
    norm_type.is_none_or(|order| order == 1.0 || order == 2.0 || order == f64::INFINITY)
}
