//! Exact sums, norms and statistics that can be measured in parts and merged without rounding, and the random stream of dropout.
//!
//! The server measures with these, and the client merges the partials of several servers; the server draws masks, and the client
//! can compute them. Both have to agree to the last bit, so both use this crate.
//!
//! ```
//! use evenkeel_exact::{NormOrder, NormPartial};
//!
//! let part = |values: &[f64]| {
//!     let mut part = NormPartial::new(NormOrder::Two);
//!     values.iter().for_each(|&x| part.add(x));
//!     part
//! };
//! let mut there = part(&[4.0, 1e-200]);
//! there.merge(&part(&[3.0]))?;
//! assert_eq!(there, part(&[3.0, 4.0, 1e-200]));
//! assert_eq!(there.norm(), 5.0);
//! # Ok::<(), evenkeel_exact::MergeError>(())
//! ```

mod brief;
mod digits;
mod float;
mod partial;
pub mod philox;
mod quotient;
mod set;
mod signed;
mod statistics;
mod sum;
mod window;

pub use brief::Brief;
pub use partial::{InvalidPartial, MergeError, NormOrder, NormPartial, Parts};
pub use quotient::Quotient;
pub use set::{GradientSums, SetStatistics};
pub use signed::SignedSum;
pub use statistics::{InvalidStatistics, SetFault, StatisticsMismatch, StatisticsPartial};
pub use sum::{ExactSum, SumTooLong};
pub use window::Window;
