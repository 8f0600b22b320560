//! The commands on files: the real program, on the shipped tensors and on files that each test writes. Connections to
//! servers with TLS or tokens are tested mostly by the health check, which makes them as the commands on files do.

mod blocking;
mod clip;
mod configuration;
mod doctor;
mod dropout;
mod files;
mod headers;
mod identity;
mod load;
mod names;
mod normalize;
mod npy;
mod outputs;
mod payload;
mod pieces;
mod program;
mod refusals;
mod reports;
mod security;
mod servers;
mod settings;
mod several;
mod state_dicts;
mod stored;
mod terminal;
mod test_server;
mod two_passes;

use evenkeel_testing::{authority, environment, pipe, socket_folder, stub, until};

type TestResult = Result<(), Box<dyn std::error::Error>>;
