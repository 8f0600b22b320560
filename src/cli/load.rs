//! `evenkeel load`: makes a call again and again, and reports how long it takes.

mod csv;
mod html;
mod plan;
mod report;
mod run;
mod scale;
mod summary;
mod svg;
mod tally;
mod target;

use std::{io::Write, path::PathBuf};

use clap::{Args, ValueEnum};
use tokio::sync::watch;

use self::{
    plan::{LoadSchedule, Plan},
    report::Report,
};
use super::{
    document,
    error::Error,
    payload::{Call, Options},
    report::print,
    security::SecurityArgs,
    session::duration,
    tasks::blocking,
    text,
};

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for a terminal.
    #[default]
    Summary,
    /// JSON with ghz's names.
    Json,
    /// A page with plots, in one file.
    Html,
    /// Each latency that occurs, and how often it does.
    Csv,
}

/// The flags of `evenkeel load`, with ghz's names where ghz has the same.
#[derive(Args, Clone, Debug)]
pub struct LoadArgs {
    /// The call, such as `Normalize` or `evenkeel.v1.TensorOpsService/Normalize`.
    #[arg(long, value_name = "CALL", default_value = "Normalize", value_parser = Call::parse)]
    call: Call,

    /// The server, HOST:PORT, a URL such as `https://HOST:PORT`, or `unix:PATH`.
    #[arg(long, value_name = "URL", env = "EVENKEEL_SERVER", default_value = "127.0.0.1:50051")]
    server: String,

    /// What a server with TLS or tokens wants.
    #[command(flatten)]
    security: SecurityArgs,

    #[command(flatten, next_help_heading = "The request")]
    options: Options,

    /// Send the request in this file, in JSON; a stream is an array.
    #[arg(long, short = 'D', value_name = "FILE", conflicts_with = "binary_file", help_heading = "The request")]
    data_file: Option<PathBuf>,

    /// Send the request in this file, as `evenkeel payload --format binary` writes it.
    #[arg(long, short = 'B', value_name = "FILE", help_heading = "The request")]
    binary_file: Option<PathBuf>,

    /// The most calls in flight. In a closed loop there are always so many.
    #[arg(long, short, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100_000), help_heading = "The load")]
    concurrency: u32,

    /// The connections that they share.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000), help_heading = "The load")]
    connections: u32,

    /// End after so many calls. Default: 200, where there is no --duration.
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "The load")]
    total: Option<u64>,

    /// Begin no call after this time, such as `10s`, and wait for those in flight.
    #[arg(long, short = 'z', value_name = "DURATION", value_parser = duration, help_heading = "The load")]
    duration: Option<humantime::Duration>,

    /// How long a call may take from the moment that it is begun.
    #[arg(long, short, value_name = "DURATION", default_value = "20s", value_parser = duration, help_heading = "The load")]
    timeout: humantime::Duration,

    /// Calls per second, whether others have ended or not: an open loop. Latencies count from the time at which a call is due.
    #[arg(long, short, value_name = "RATE", help_heading = "The load")]
    rps: Option<f64>,

    /// How the rate of an open loop changes.
    #[arg(long, value_enum, default_value_t, help_heading = "The load")]
    load_schedule: LoadSchedule,

    /// The first rate of `step` and `line`, in calls per second.
    #[arg(long, value_name = "RATE", help_heading = "The load")]
    load_start: Option<f64>,

    /// The change of the rate with each step, or in each second of `line`; below 0 it falls.
    #[arg(long, value_name = "RATE", allow_hyphen_values = true, help_heading = "The load")]
    load_step: Option<f64>,

    /// The last rate, which then stays. Default: the rate changes to the end of the load, or to 0.
    #[arg(long, value_name = "RATE", help_heading = "The load")]
    load_end: Option<f64>,

    /// How long each rate of `step` stays.
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "The load")]
    load_step_duration: Option<humantime::Duration>,

    /// Compare all bytes of each answer with the first one's, and not only their number.
    #[arg(long, help_heading = "The load")]
    check: bool,

    /// Count the latencies of failed calls among the others.
    #[arg(long, help_heading = "The report")]
    count_errors: bool,

    /// The process of the server, whose CPU time is reported. Default: the one that listens at --server, on this machine.
    #[arg(long, value_name = "PID", help_heading = "The report")]
    server_pid: Option<u32>,

    /// A name for the report.
    #[arg(long, value_name = "TEXT", help_heading = "The report")]
    name: Option<String>,

    /// Where the report goes: a file, which is replaced if it exists; `-` is standard output.
    #[arg(long, short, value_name = "PATH", default_value = "-", help_heading = "The report")]
    output: PathBuf,

    /// How the report is written.
    #[arg(long, short = 'O', value_enum, default_value_t, help_heading = "The report")]
    format: Format,

    /// Print nothing but errors and the report.
    #[arg(long, short, help_heading = "The report")]
    quiet: bool,
}

impl LoadArgs {
    /// Makes the calls, until they are made or `stop` is true, and writes the report.
    ///
    /// # Errors
    /// [`Error`]: the report is not written. [`Error::Load`]: it is written, and no call succeeded or an answer was wrong.
    pub async fn run(self, stop: watch::Receiver<bool>) -> Result<(), Error> {
        let plan = Plan::new(&self).await?;
        let report = Report::new(&plan, run::run(&plan, &stop).await?);
        let Self { output, format, quiet, .. } = self;
        let (calls, is_right, wrong) = (report.count, report.is_right(), report.wrong_answers);
        let to = output.clone();
        let document = blocking(move || document::write(&to, |to| write(&report, format, to))).await?;
        if let Some(document) = document {
            document.place()?;
            if !quiet {
                print(format!("wrote {}: a report on {calls} calls\n", text::path(&output))).await?;
            }
        }
        match (is_right, wrong) {
            (true, _) => Ok(()),
            (false, 0) => Err(Error::Load(format!("none of {calls} calls succeeded"))),
            (false, wrong) => Err(Error::Load(format!("{wrong} of {calls} answers differ from the first one"))),
        }
    }
}

fn write(report: &Report, format: Format, to: &mut dyn Write) -> std::io::Result<()> {
    match format {
        Format::Summary => to.write_all(summary::text(report).as_bytes()),
        Format::Json => {
            serde_json::to_writer_pretty(&mut *to, report)?;
            to.write_all(b"\n")
        }
        Format::Html => to.write_all(html::page(report).as_bytes()),
        Format::Csv => csv::write(report, to),
    }
}
