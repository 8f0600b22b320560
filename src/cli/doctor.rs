//! `evenkeel doctor`: what this machine gives to a server, and whether it computes the bits that the service promises.

mod findings;
mod settings;

use std::{io, time::Instant};

use clap::Args;
use evenkeel_kernels::Uninterrupted;

use self::{findings::Findings, settings::Settings};
use crate::{
    config::ServeArgs,
    machine::Machine,
    self_check::{self, Places},
};

/// The flags of `evenkeel doctor`: those of the server that it is asked about, and how it answers.
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// The settings of the server.
    #[command(flatten)]
    pub serve: ServeArgs,

    /// Print JSON instead of text, with numbers in full and every difference.
    #[arg(long)]
    json: bool,
}

/// The answer of the command.
#[derive(Debug)]
pub struct Examination {
    /// What is printed.
    pub text: String,
    /// Whether all results of the self-check are those of every machine.
    pub is_well: bool,
}

/// The reason why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting of the server cannot be used.
    #[error("{0}")]
    Settings(String),
    /// The machine gives no threads to count.
    #[error("cannot start the serving threads: {0}")]
    Threads(#[from] io::Error),
    /// The self-check did not run.
    #[error("{0}")]
    SelfCheck(String),
    /// The answer cannot be written as JSON.
    #[error("cannot write JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// Whether the command line or the configuration is at fault.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Settings(_) => true,
            Self::Threads(_) | Self::SelfCheck(_) | Self::Json(_) => false,
        }
    }
}

impl DoctorArgs {
    /// Looks at the machine and the settings, and computes every operation on every instruction set that the machine has.
    ///
    /// # Errors
    /// [`Error`]; a result that differs is none.
    pub fn examine(self) -> Result<Examination, Error> {
        let Self { serve, json } = self;
        let effective = serve.effective.clone();
        let configs = serve.into_configs().map_err(|error| Error::Settings(effective.explain(&error)))?;
        let settings = Settings::of(&configs)?;
        let machine = Machine::look();
        let places = Places::all();
        let begun = Instant::now();
        let fault = configs.server.self_check.fault.as_deref();
        let outcome = self_check::run(&places, fault, &Uninterrupted);
        let outcome = outcome.map_err(|error| Error::SelfCheck(error.to_string()))?;
        let is_well = outcome.differences.is_empty();
        let findings = Findings { machine, settings, places, outcome, took: begun.elapsed() };
        Ok(Examination { text: if json { findings.json()? } else { findings.to_string() }, is_well })
    }
}
