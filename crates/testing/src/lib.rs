//! What the tests of all crates, the fuzz targets and the measurements share: it stands here once, and is not published.
//!
//! A crate that this one needs, and `evenkeel` itself, may use it in its tests: Cargo lets dependencies of tests go in circles.

pub mod answer;
pub mod authority;
pub mod environment;
pub mod frames;
pub mod peer;
pub mod pipe;
pub mod resident;
pub mod server;
pub mod socket_folder;
pub mod tables;
pub mod tensors;
pub mod until;
