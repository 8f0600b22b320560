//! The kernels against naive oracles, over random shapes, axes, dtypes and options.

mod accuracy;
mod bits;
mod case;
mod clip;
mod dropout;
mod normalize;
mod oracle;
mod stops;
