//! Code that the tests of all crates, the fuzz targets and the measurements share. The crate is not published.
//!
//! `evenkeel`, and the other crates that this one depends on, may use it in their tests: Cargo allows circles through
//! dependencies of tests.

pub mod answer;
pub mod authority;
pub mod environment;
pub mod frames;
pub mod peer;
pub mod pipe;
pub mod resident;
pub mod server;
pub mod socket_folder;
pub mod streamed;
pub mod stub;
pub mod tables;
pub mod tensors;
pub mod until;
