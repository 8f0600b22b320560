//! The commands on files: the real program, on the shipped tensors and on files that each test writes. And how it reaches a
//! server that has TLS or tokens, for which the health check stands.

#[path = "../service/authority.rs"]
mod authority;
mod blocking;
mod clip;
mod configuration;
mod dropout;
#[path = "../service/environment.rs"]
mod environment;
mod files;
mod headers;
mod identity;
mod names;
mod normalize;
mod npy;
mod outputs;
mod pieces;
#[path = "../service/pipe.rs"]
mod pipe;
mod program;
mod refusals;
mod reports;
mod security;
mod servers;
mod settings;
mod state_dicts;
mod stored;
#[path = "../service/until.rs"]
#[expect(dead_code, reason = "these tests have no runtime")]
mod until;

type TestResult = Result<(), Box<dyn std::error::Error>>;
