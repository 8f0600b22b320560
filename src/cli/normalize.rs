//! `evenkeel normalize`: normalizes the tensors of a file.

mod parameters;
mod pooling;
mod statistics;

use std::{path::PathBuf, sync::Arc};

use clap::{Args, ValueEnum, builder::BoolishValueParser};
use evenkeel_client::DType;
use evenkeel_kernels::NormKind;
use evenkeel_proto::v1 as pb;

use self::{parameters::Parameters, statistics::Statistics};
use super::{
    arguments::FileArgs,
    error::Error,
    files::{Stored, Target, TensorPath, commit, element},
    interrupt::Stage,
    pieces::{Boxes, Piece, TooLarge},
    progress::Progress,
    report::{Report, ReportArgs},
    run::{self, Comparison, Destination, Tell},
    session::{Calls, Reached, ServerArgs},
    tasks::{all, blocking},
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

/// A tensor that is normalized.
struct Job {
    tensor: Stored,
    dtype: DType,
    boxes: Boxes,
    to: Destination,
    options: Options,
    parameters: Parameters,
    statistics: bool,
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
        let statistics = statistics.map(|path| Target::named("--statistics", &path, opened.format)).transpose()?;
        let paths = options.paths();
        let read: Vec<_> = paths.iter().filter_map(|(_, path)| *path).map(TensorPath::path).collect();
        opened.target.keep_off_inputs(server.files().chain(read.iter().copied()))?;
        if let Some(statistics) = &statistics {
            statistics.keep_off_inputs(server.files().chain(read).chain([files.input.as_path()]))?;
            statistics.keep_off_read(&opened.contents.read)?;
            statistics.keep_off_output(&opened.target)?;
            // For RMS and L2 as well, which have no mean: the format of the file should not depend on the kind.
            statistics.expect_tensors(4)?;
        }
        let parameters = {
            let options = options.clone();
            blocking(move || Parameters::read(&options)).await?
        };
        for target in std::iter::once(&opened.target).chain(&statistics) {
            target.keep_off_read(parameters.opened())?;
        }

        let reached = server.reach().await?;
        let mut largest = 0;
        let mut boxes = Vec::new();
        for (tensor, computed) in opened.contents.tensors.iter().zip(&opened.computed) {
            let dtype = element::computed(tensor.dtype).filter(|_| *computed);
            let cut = dtype.map(|dtype| {
                let boxes = options.cut((tensor, dtype), &parameters, statistics.is_some(), reached.limit()).map_err(
                    |needed| {
                        // Arguments that do not fit the tensor may be why it cannot be cut.
                        let misfit = options.misfit((tensor, dtype), &parameters);
                        misfit
                            .and_then(|found| Error::of_arguments(&found, &files.input, &[&tensor.name]))
                            .unwrap_or_else(|| too_large(&files, tensor, needed, &reached))
                    },
                )?;
                largest = largest.max(options.answer(&boxes, tensor, statistics.is_some()) + parameters.len());
                Ok::<_, Error>((dtype, boxes))
            });
            boxes.push(cut.transpose()?);
        }
        let (output, to) = opened.create().await?;
        let written = match statistics.clone() {
            Some(target) => Some(blocking(move || target.open(0)).await?),
            None => None,
        };
        let session = reached.session(largest).await?;
        let progress = how.progress(opened.bytes().1);
        progress.phase("normalizing");

        let mut report = Report::new("axes");
        let mut numbers = Vec::new();
        for ((tensor, boxes), to) in opened.contents.tensors.iter().zip(boxes).zip(to) {
            let Some((dtype, boxes)) = boxes else {
                let tell = how.tell(Tell::Summaries) != Tell::Nothing;
                let summary = run::pass_on(tensor.clone(), to, tell, progress.clone()).await?;
                report.unchanged(tensor, summary);
                continue;
            };
            let (options, parameters) = (options.clone(), parameters.clone());
            let job =
                Job { tensor: tensor.clone(), dtype, boxes, to, options, parameters, statistics: written.is_some() };
            let (comparison, axes, found) = job
                .run(&session.client(), how.tell(Tell::Summaries), &progress)
                .await
                .map_err(|error| error.of_input(&files.input, &[&tensor.name]))?;
            report.compared(tensor, comparison, format!("{axes:?}"), axes.into());
            numbers.extend(found.map(|found| (tensor.name.clone(), found)));
        }
        progress.finish();
        session.close().await?;
        let mut outputs = vec![output];
        if let Some((target, written)) = statistics.clone().zip(written) {
            outputs.push(blocking(move || statistics::write(&target, written, numbers)).await?);
        }
        opened.contents.expect_unchanged()?;
        commit(outputs, &stage).await?;
        let written: Vec<&Target> = std::iter::once(&opened.target).chain(&statistics).collect();
        report.print(how, &written).await
    }
}

/// The error of a tensor that is too large for a message, with a remedy.
fn too_large(files: &FileArgs, tensor: &Stored, TooLarge(needed): TooLarge, reached: &Reached) -> Error {
    let helps = if reached.is_own() {
        "no message of gRPC is as long: pool over fewer axes, or cut the tensor where nothing is pooled".to_owned()
    } else {
        format!(
            "the server takes {}: it may be started with a larger --max-message-bytes, or --server be left out",
            reached.limit()
        )
    };
    let name = text::name(&tensor.name);
    let reason = format!(
        "tensor '{name}': elements that are normalized together must be in one message of {needed} bytes; {helps}"
    );
    Error::file(&files.input, reason)
}

/// The result of a job: the comparison, the axes that were pooled, and the statistics if they are wanted.
type Outcome = (Comparison, Vec<i32>, Option<Statistics>);

impl Job {
    async fn run(self, calls: &Calls, tell: Tell, progress: &Progress) -> Result<Outcome, run::Failure> {
        let job = Arc::new(self);
        let work = job.boxes.clone().pieces().map(|piece| {
            let (job, calls, progress) = (job.clone(), calls.clone(), progress.clone());
            async move { job.normalize(piece, calls, tell, progress).await }
        });
        let mut whole = (Comparison::default(), Vec::new());
        let mut parts = Vec::new();
        for (comparison, axes, part) in all(work).await? {
            whole.0.merge(&comparison);
            whole.1 = axes;
            parts.extend(part);
        }
        let statistics = if job.statistics {
            let shape = job.options.statistics_shape(&job.tensor.shape);
            Some(Statistics::join(parts, shape)?)
        } else {
            None
        };
        Ok((whole.0, whole.1, statistics))
    }

    async fn normalize(
        &self,
        piece: Piece,
        calls: Calls,
        tell: Tell,
        progress: Progress,
    ) -> Result<Outcome, run::Failure> {
        let Piece { region, shape, channels, groups } = piece;
        let before = run::read(&self.tensor, region, &progress).await?;
        let [weight, bias, running_mean, running_var] = self.parameters.of(&channels);
        let request = pb::NormalizeRequest {
            input: Some(element::message(self.dtype, &shape, before.clone())),
            groups: match groups {
                Some(groups) => u32::try_from(groups).unwrap_or(u32::MAX),
                None => self.options.groups,
            },
            return_statistics: self.statistics,
            weight,
            bias,
            running_mean,
            running_var,
            ..self.options.request()
        };
        let pb::NormalizeResponse { axes, mean, rstd, running_mean, running_var, output } =
            calls.normalize(request).await?;
        let after = run::answered("output", output, self.dtype, &before)?;
        progress.has_answer(before.len());
        let statistics = self.statistics.then_some(Statistics { mean, rstd, running_mean, running_var });
        let (dtype, to) = (self.dtype, self.to.clone());
        let comparison =
            blocking(move || run::write((region, &to), (dtype, tell), (&before, &after), &progress)).await?;
        Ok((comparison, axes, statistics))
    }
}
