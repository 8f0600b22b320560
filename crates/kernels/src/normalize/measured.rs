//! Statistics that are measured in parts and merge without rounding.

mod cascade;
mod cells;
pub(super) mod check;
mod merged;
mod meter;
mod span;
mod split;
mod sweep;
mod term;

pub(super) use merged::Merged;
pub(super) use meter::SETS_IN_A_ROW;
pub use meter::{StatisticsMeter, measure_statistics, statistics_demand};

use super::NormKind;

/// The statistics of parts of a tensor, or of several tensors that one is cut into.
pub type StatisticsPartial = evenkeel_exact::StatisticsPartial<NormKind>;
