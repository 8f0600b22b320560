//! The record of a benchmark, for the report.

use std::{
    fs,
    path::Path,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use crate::{Result, goals::Measured, statistics::Summary};

/// One quantity of one contender in one case.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    /// The case.
    pub(crate) case: String,
    /// The name of the contender.
    pub(crate) contender: String,
    /// The quantity, with its unit: `calls/s`, `CPU us`, `p99 us`, `MiB`.
    pub(crate) what: &'static str,
    #[serde(flatten)]
    pub(crate) value: Summary,
}

/// A benchmark's record; written as `<bench>.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Record {
    bench: &'static str,
    /// When it began, in seconds since 1970.
    began: u64,
    seconds: f64,
    rounds: usize,
    turn_seconds: f64,
    pub(crate) goals: Vec<Measured>,
    pub(crate) figures: Vec<Figure>,
    #[serde(skip)]
    clock: Instant,
}

impl Record {
    pub(crate) fn begin(bench: &'static str, rounds: usize, turn_seconds: f64) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a record says on which day it was made")]
        let began = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let (goals, figures, clock) = (Vec::new(), Vec::new(), Instant::now());
        Self { bench, began, seconds: 0.0, rounds, turn_seconds, goals, figures, clock }
    }

    pub(crate) fn figure(&mut self, case: &str, contender: &str, what: &'static str, value: Summary) {
        let (case, contender) = (case.to_owned(), contender.to_owned());
        self.figures.push(Figure { case, contender, what, value });
    }

    /// Prints a case: a line for each contender, with medians.
    pub(crate) fn print(&self, case: &str) {
        println!("{case}");
        let mut figures = self.figures.iter().filter(|figure| figure.case == case).peekable();
        while let Some(Figure { contender, what, value, .. }) = figures.next() {
            let mut line = format!("    {contender:24} {:>12.1} {what}", value.median);
            while let Some(Figure { what, value, .. }) = figures.next_if(|next| next.contender == *contender) {
                line += &format!(" {:>12.1} {what}", value.median);
            }
            println!("{line}");
        }
    }

    /// Writes the record and prints the goals.
    pub(crate) fn finish(mut self, folder: &Path) -> Result<()> {
        self.seconds = self.clock.elapsed().as_secs_f64();
        fs::create_dir_all(folder)?;
        fs::write(folder.join(format!("{}.json", self.bench)), serde_json::to_vec_pretty(&self)?)?;
        crate::goals::print(&self.goals)
    }
}
