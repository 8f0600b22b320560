//! The kernels against naive oracles, over random shapes, axes, dtypes and options.

mod accuracy;
mod big;
mod bits;
mod case;
mod channel_axis;
mod clip;
mod clip_extremes;
mod derivative;
mod dropout;
mod ends;
mod extremes;
mod halves;
mod in_place;
mod invariants;
mod l2;
mod merged;
mod merged_special;
mod neighbours;
mod normalize;
mod not_above;
mod oracle;
mod philox;
mod special;
mod statistics;
mod stops;
mod ulp;
