//! The HTTP endpoint that Prometheus scrapes, and the text that it gets: the metrics of all modules.

mod endpoint;
mod exposition;
mod process;

pub(crate) use self::{
    endpoint::Endpoint,
    exposition::{Certificate, Exposition},
};
