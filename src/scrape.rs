//! The port that Prometheus asks, and the text that it reads: all numbers of the server, whichever room counts them.

mod endpoint;
mod exposition;
mod process;

pub(crate) use self::{
    endpoint::Endpoint,
    exposition::{Certificate, Exposition},
};
