//! The report of a command on files: a table for people, JSON for programs, or nothing.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    thread,
};

use clap::Args;
use safetensors::Dtype;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::{
    error::Error,
    files::{Stored, Target, element},
    opened::{Entry, Opened},
    progress::Progress,
    run::{Comparison, Tell},
    summary::Summary,
    table::{Row, Table},
    text,
};
use crate::streams::Blocking;

/// How much is said.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct ReportArgs {
    /// Print nothing but errors: no table, no progress bar.
    #[arg(long, short)]
    quiet: bool,

    /// Print JSON instead of the table, with numbers in full; NaN and infinities are strings.
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
}

impl ReportArgs {
    /// Whether nothing is printed but errors.
    pub(super) fn is_quiet(self) -> bool {
        self.quiet
    }

    /// The figures to compute for a report that shows `tell`: none if there is no report.
    pub(super) fn tell(self, tell: Tell) -> Tell {
        if self.quiet { Tell::Nothing } else { tell }
    }

    /// The progress bar for work on so many bytes.
    pub(super) fn progress(self, bytes: u64) -> Progress {
        if self.quiet { Progress::none() } else { Progress::of(bytes) }
    }
}

/// The rows and totals that a command reports.
#[derive(Debug)]
pub(super) struct Report {
    /// The column that this command has beside those of all, and its key in JSON.
    column: &'static str,
    tensors: Vec<Tensor>,
    /// Whether tensors are named with their files, since they are in several.
    names_files: bool,
    /// Lines below the table.
    lines: Vec<String>,
    /// The same in JSON.
    totals: Map<String, Value>,
}

#[derive(Debug)]
struct Tensor {
    /// The file, if it is one of several.
    file: Option<PathBuf>,
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    told: Told,
}

#[derive(Debug)]
enum Told {
    /// The tensor was passed on as it is.
    Unchanged(Option<Summary>),
    /// The tensor was computed with. The last two fields are the value of this command's own column: as a cell, and in
    /// JSON.
    Compared(Box<Comparison>, String, Value),
}

impl Report {
    /// A report on these tensors.
    pub(super) fn new(column: &'static str, opened: &Opened) -> Self {
        let names_files = opened.is_several();
        Self { column, tensors: Vec::new(), names_files, lines: Vec::new(), totals: Map::new() }
    }

    pub(super) fn compared(&mut self, entry: Entry<'_>, comparison: Comparison, cell: String, value: Value) {
        self.push(entry, Told::Compared(Box::new(comparison), cell, value));
    }

    pub(super) fn unchanged(&mut self, entry: Entry<'_>, summary: Option<Summary>) {
        self.push(entry, Told::Unchanged(summary));
    }

    fn push(&mut self, Entry { path, tensor, .. }: Entry<'_>, told: Told) {
        let Stored { name, dtype, shape, .. } = tensor;
        let file = self.names_files.then(|| path.to_owned());
        self.tensors.push(Tensor { file, name: name.clone(), dtype: *dtype, shape: shape.clone(), told });
    }

    /// Adds a line below the table, and its content in JSON.
    pub(super) fn total<'a>(&mut self, line: String, totals: impl IntoIterator<Item = (&'a str, Value)>) {
        self.lines.push(line);
        self.totals.extend(totals.into_iter().map(|(key, value)| (key.to_owned(), value)));
    }

    /// Prints it, with the names of the files that were written: to standard output, or to standard error if standard
    /// output has the result.
    ///
    /// The write blocks until its reader has read; the caller may drop the future.
    pub(super) async fn print(self, how: ReportArgs, written: &[&Target]) -> Result<(), Error> {
        if how.quiet {
            return Ok(());
        }
        let paths: Vec<&Path> = written.iter().map(|target| target.path()).collect();
        let text = if how.json { self.json(&paths)? } else { self.table(&paths) };
        if written.iter().any(|target| target.is_standard_output()) {
            // An error is not reported, since the result was written.
            let _ = on_a_thread(move || Blocking(io::stderr()).write_all(text.as_bytes())).await;
            return Ok(());
        }
        print(text).await
    }

    fn table(&self, written: &[&Path]) -> String {
        let mut table = Table::new(self.column);
        for Tensor { file, name, dtype, shape, told } in &self.tensors {
            let name = match file {
                Some(file) => format!("{}:{}", text::path(file), text::name(name)),
                None => text::name(name),
            };
            let row = |state: &str, summary: Option<&Summary>, more: &str| {
                Row::new(&name, state, &element::name(*dtype), shape, summary, more)
            };
            match told {
                Told::Unchanged(summary) => table.push(row("unchanged", summary.as_ref(), "")),
                Told::Compared(comparison, cell, _) => {
                    table.push(row("before", Some(&comparison.before), ""));
                    table.push(row("after", Some(&comparison.after), cell));
                }
            }
        }
        let mut text = table.to_string();
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        written.iter().for_each(|path| text.push_str(&format!("wrote {}\n", text::path(path))));
        text
    }

    fn json(self, written: &[&Path]) -> Result<String, Error> {
        let tensors: Vec<Value> = self.tensors.iter().map(|tensor| tensor.json(self.column)).collect();
        let mut all = self.totals;
        all.insert("tensors".to_owned(), tensors.into());
        all.insert("written".to_owned(), written.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>().into());
        let json = serde_json::to_string_pretty(&all).map_err(|error| Error::Output(error.into()))?;
        Ok(text::json(&json) + "\n")
    }
}

impl Tensor {
    fn json(&self, column: &str) -> Value {
        let Self { file, name, dtype, shape, told } = self;
        let summary =
            |it: &Summary| json!({ "mean": number(it.mean()), "std": number(it.std()), "norm": number(it.norm()) });
        let mut value = json!({ "name": name, "dtype": element::name(*dtype), "shape": shape });
        if let Some(file) = file {
            value["file"] = file.to_string_lossy().into();
        }
        match told {
            Told::Unchanged(it) => {
                value["unchanged"] = true.into();
                value["before"] = it.as_ref().map(summary).into();
            }
            Told::Compared(comparison, _, more) => {
                value["before"] = summary(&comparison.before);
                value["after"] = summary(&comparison.after);
                value[column] = more.clone();
            }
        }
        value
    }
}

/// A number in full; JSON has none for NaN and the infinities.
pub(super) fn number(x: f64) -> Value {
    if x.is_finite() {
        return x.into();
    }
    let name = if x.is_nan() {
        "NaN"
    } else if x > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    };
    name.into()
}

/// Prints to standard output. The write blocks until its reader has read; the caller may drop the future.
pub(super) async fn print(text: String) -> Result<(), Error> {
    // A reader that closes the pipe after the first lines (`| head`) is no error.
    match on_a_thread(move || Blocking(io::stdout()).write_all(text.as_bytes())).await {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Runs work that may block for ever, on a thread that ends with the process.
pub(super) async fn on_a_thread(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    let (sender, receiver) = oneshot::channel();
    // The receiver is gone if the command was interrupted.
    thread::Builder::new().name("print".to_owned()).spawn(move || drop(sender.send(work())))?;
    receiver.await.unwrap_or_else(|_| Err(io::Error::other("it was not written")))
}
