//! `evenkeel normalize`: normalizes the tensors of a file.

mod job;
mod parameters;
mod pooling;
mod statistics;

use std::path::PathBuf;

use clap::{Args, ValueEnum, builder::BoolishValueParser};
use evenkeel_kernels::NormKind;

use self::{job::Job, parameters::Parameters, statistics::Statistics};
use super::{
    arguments::FileArgs,
    error::Error,
    files::{Contents, Target, TensorPath, commit, element},
    interrupt::Stage,
    opened::Entry,
    pieces::TooLarge,
    report::{Report, ReportArgs},
    run::{self, Tell},
    session::{Reached, ServerArgs},
    tasks::blocking,
    text,
};

/// Which elements are pooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Per channel.
    Batch,
    /// Over the last axis of up to three, over all but the first of four and more.
    Layer,
    /// As `layer`, by the root of the mean square; no mean is subtracted.
    Rms,
    /// Per sample and channel.
    Instance,
    /// Per sample and group of channels.
    Group,
    /// Over axis 1, or over all elements of a tensor of one dimension: divided by the norm, so that vectors have length 1.
    L2,
}

impl From<Kind> for NormKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Batch => Self::Batch,
            Kind::Layer => Self::Layer,
            Kind::Rms => Self::Rms,
            Kind::Instance => Self::Instance,
            Kind::Group => Self::Group,
            Kind::L2 => Self::L2,
        }
    }
}

/// The flags of `evenkeel normalize`.
#[derive(Args, Clone, Debug)]
pub struct NormalizeArgs {
    #[command(flatten)]
    files: FileArgs,

    #[command(flatten)]
    report: ReportArgs,

    #[command(flatten)]
    server: ServerArgs,

    #[command(flatten)]
    options: Options,

    /// Write the statistics: NAME.mean and NAME.rstd, and NAME.running_mean and NAME.running_var if they were updated,
    /// for each tensor NAME. A .safetensors file.
    #[arg(long, value_name = "FILE")]
    statistics: Option<PathBuf>,
}

/// What is asked of the server.
#[derive(Args, Clone, Debug)]
struct Options {
    /// Which elements are pooled.
    #[arg(long, value_enum)]
    kind: Kind,

    /// The axes to pool over, such as `2,3` or `--axes=-1`. Default: the kind's.
    #[arg(long, value_name = "AXES", value_delimiter = ',', allow_hyphen_values = true)]
    axes: Vec<i32>,

    /// The number of groups; for `--kind group`.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    groups: u32,

    /// Added to the variance. Default: 1e-5; for `--kind rms` 1.1920929e-7 (float64: 2.220446049250313e-16). For `--kind l2`
    /// the least number that elements are divided by. Default: 1e-12.
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    eps: Option<f64>,

    /// The axis of the channels; for `--kind batch`, `instance`, `group`. Default: 1.
    #[arg(long, value_name = "AXIS", allow_hyphen_values = true)]
    channel_axis: Option<i32>,

    /// Normalize by the input's own statistics; `--training=false`: by the running ones. Default: by the running ones if they
    /// are given.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    training: Option<bool>,

    /// The weight of new statistics in the running ones. Default: 0.1.
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    momentum: Option<f64>,

    /// Scale: a .npy file, or a tensor of a .safetensors file. Default: 1.
    #[arg(long, value_name = "FILE[:NAME]", value_parser = TensorPath::parser())]
    weight: Option<TensorPath>,

    /// Shift: a file as for `--weight`. Default: 0.
    #[arg(long, value_name = "FILE[:NAME]", value_parser = TensorPath::parser())]
    bias: Option<TensorPath>,

    /// The running mean; for `--kind batch`, `instance`.
    #[arg(long, value_name = "FILE[:NAME]", value_parser = TensorPath::parser(), requires = "running_var")]
    running_mean: Option<TensorPath>,

    /// The running variance, beside `--running-mean`.
    #[arg(long, value_name = "FILE[:NAME]", value_parser = TensorPath::parser(), requires = "running_mean")]
    running_var: Option<TensorPath>,
}

impl Options {
    /// The tensors beside the input, each with the flag that names it.
    fn paths(&self) -> [(&'static str, Option<&TensorPath>); 4] {
        [
            ("--weight", self.weight.as_ref()),
            ("--bias", self.bias.as_ref()),
            ("--running-mean", self.running_mean.as_ref()),
            ("--running-var", self.running_var.as_ref()),
        ]
    }
}

impl NormalizeArgs {
    /// Normalizes, writes and prints.
    ///
    /// # Errors
    /// [`Error`]; then nothing is written, unless it says so.
    pub async fn run(self, stage: Stage) -> Result<(), Error> {
        let Self { files, report: how, server, options, statistics } = self;
        let kind = options.kind.to_possible_value().expect("no kind is hidden");
        // A tensor without dimensions has no axis to pool over.
        let opened = files.open(kind.get_name(), |rank| rank > 0).await?;
        let statistics = statistics.map(|path| Target::named("--statistics", &path, opened.format())).transpose()?;
        let paths = options.paths();
        let read: Vec<_> = paths.iter().filter_map(|(_, path)| *path).map(TensorPath::path).collect();
        for target in opened.targets() {
            target.keep_off_inputs(server.files().chain(read.iter().copied()))?;
        }
        if let Some(statistics) = &statistics {
            statistics.keep_off_inputs(server.files().chain(read).chain(opened.inputs()))?;
            statistics.keep_off_read(opened.read_files())?;
            opened.targets().try_for_each(|target| statistics.keep_off_output(target))?;
            // For RMS and L2 as well, which have no mean: the format of the file should not depend on the kind.
            statistics.expect_tensors(4)?;
            statistics.lay_out(&statistics::placeholders(&opened), &Contents::default())?;
        }
        let parameters = {
            let options = options.clone();
            blocking(move || Parameters::read(&options)).await?
        };
        for target in opened.targets().chain(&statistics) {
            target.keep_off_read(parameters.opened())?;
        }

        let reached = server.reach().await?;
        let (mut largest, mut largest_answer, mut measured) = (0, 0, 0);
        let mut cuts = Vec::new();
        for entry in opened.tensors() {
            let Some(dtype) = element::computed(entry.tensor.dtype).filter(|_| entry.computed) else {
                cuts.push(None);
                continue;
            };
            let cut = options.cut((entry.tensor, dtype), &parameters, statistics.is_some(), reached.limit()).map_err(
                |needed| {
                    // Arguments that do not fit the tensor may be why it cannot be cut.
                    let misfit = options.misfit((entry.tensor, dtype), &parameters);
                    misfit
                        .and_then(|found| Error::of_arguments(&found, &[entry.named()]))
                        .unwrap_or_else(|| too_large(entry, needed, &reached))
                },
            )?;
            largest = largest.max(cut.largest());
            largest_answer =
                largest_answer.max(options.answer(&cut, entry.tensor, statistics.is_some()) + parameters.len());
            measured += if cut.is_measured() { entry.tensor.len as u64 } else { 0 };
            cuts.push(Some((dtype, cut)));
        }
        let (mut outputs, to) = opened.create().await?;
        let written = match statistics.clone() {
            Some(target) => Some(blocking(move || target.open(0)).await?),
            None => None,
        };
        let session = reached.session(largest_answer).await?;
        let calls = session.calls(largest);
        let progress = how.progress(opened.bytes() + measured);
        progress.phase("normalizing");

        let mut report = Report::new("axes", &opened);
        let mut numbers = Vec::new();
        for ((entry, cut), to) in opened.tensors().zip(cuts).zip(to) {
            let (tensor, progress) = (entry.tensor.clone(), progress.clone());
            let Some((dtype, cut)) = cut else {
                let tell = how.tell(Tell::Summaries) != Tell::Nothing;
                report.unchanged(entry, run::pass_on(tensor, to, tell, progress).await?);
                continue;
            };
            let (options, parameters) = (options.clone(), parameters.clone());
            let (statistics, calls, tell) = (written.is_some(), calls.clone(), how.tell(Tell::Summaries));
            let job = Job { tensor, dtype, cut, to, options, parameters, statistics, calls, tell, progress };
            let (comparison, axes, found) = job.run().await.map_err(|error| error.of_tensors(&[entry.named()]))?;
            report.compared(entry, comparison, format!("{axes:?}"), axes.into());
            numbers.extend(found.map(|found| (entry.tensor.name.clone(), found)));
        }
        progress.finish();
        drop(calls);
        session.close().await?;
        if let Some((target, written)) = statistics.clone().zip(written) {
            outputs.push(blocking(move || statistics::write(&target, written, numbers)).await?);
        }
        opened.expect_unchanged()?;
        commit(outputs, &stage).await?;
        report.print(how, &opened.targets().chain(&statistics).collect::<Vec<_>>()).await
    }
}

/// The error of a tensor that is too large for a message, with a remedy.
fn too_large(entry: Entry<'_>, TooLarge(needed): TooLarge, reached: &Reached) -> Error {
    let helps = if reached.is_own() {
        "no message of gRPC is as long: pool over fewer axes, or cut the tensor where nothing is pooled".to_owned()
    } else {
        format!(
            "the server takes {}: it may be started with a larger --max-message-bytes, or --server be left out",
            reached.limit()
        )
    };
    let name = text::name(&entry.tensor.name);
    let reason = format!(
        "tensor '{name}': elements that are normalized together must be in one message of {needed} bytes; {helps}"
    );
    Error::file(entry.path, reason)
}
