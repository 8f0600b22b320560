//! Code that the fuzz targets share: structured input, and calls over loopback.

pub mod loopback;
pub mod messages;
pub mod tensors;
