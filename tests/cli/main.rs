//! The commands on files: the real program, on the shipped tensors and on files that each test writes.

mod clip;
mod dropout;
mod files;
mod normalize;
mod npy;
mod program;
mod refusals;
mod servers;
mod stored;

type TestResult = Result<(), Box<dyn std::error::Error>>;
