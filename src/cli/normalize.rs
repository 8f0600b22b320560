//! `evenkeel normalize`: normalizes the tensors of a file.

use std::path::PathBuf;

use clap::{Args, ValueEnum, builder::BoolishValueParser};
use evenkeel_client::{Client, Element, Error as CallError, NormKind, Normalized, Tensor};
use ndarray::ArrayD;

use super::{
    arguments::{FileArgs, ServerArgs},
    error::Error,
    files::{Contents, Entry, Named, Target, TensorPath},
    progress,
    table::{self, Row, Table},
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
}

impl From<Kind> for NormKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Batch => Self::Batch,
            Kind::Layer => Self::Layer,
            Kind::Rms => Self::Rms,
            Kind::Instance => Self::Instance,
            Kind::Group => Self::Group,
        }
    }
}

/// The flags of `evenkeel normalize`.
#[derive(Args, Clone, Debug)]
pub struct NormalizeArgs {
    #[command(flatten)]
    files: FileArgs,

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

    /// Added to the variance. Default: 1e-5; for `--kind rms` 1.1920929e-7 (float64: 2.220446049250313e-16).
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    eps: Option<f64>,

    /// The axis of the channels; for `--kind batch`, `instance`, `group`. Default: 1.
    #[arg(long, value_name = "AXIS", allow_hyphen_values = true)]
    channel_axis: Option<i32>,

    /// Use the input's own statistics; `--training=false`: the running ones. Default: the running ones if they are
    /// given.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    training: Option<bool>,

    /// The weight of new statistics in the running ones. Default: 0.1.
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    momentum: Option<f64>,

    /// Scale: a .npy file, or a tensor of a .safetensors file. Default: 1.
    #[arg(long, value_name = "FILE[:NAME]")]
    weight: Option<TensorPath>,

    /// Shift, likewise. Default: 0.
    #[arg(long, value_name = "FILE[:NAME]")]
    bias: Option<TensorPath>,

    /// The running mean; for `--kind batch`, `instance`.
    #[arg(long, value_name = "FILE[:NAME]", requires = "running_var")]
    running_mean: Option<TensorPath>,

    /// The running variance.
    #[arg(long, value_name = "FILE[:NAME]", requires = "running_mean")]
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
    pub async fn run(self) -> Result<(), Error> {
        let Self { files, server, options, statistics } = self;
        let kind = options.kind.to_possible_value().expect("no kind is hidden");
        let (Contents { tensors, metadata, bytes }, target) = files.open(kind.get_name())?;
        let statistics = statistics.map(|path| Target::named("--statistics", &path)).transpose()?;

        let mut parameters = [const { None }; 4];
        let mut total = bytes;
        for (parameter, (flag, path)) in parameters.iter_mut().zip(options.paths()) {
            if let Some(path) = path {
                target.keep_off([path.path()])?;
                let (tensor, bytes) = path.read(flag)?;
                *parameter = Some(tensor);
                total += bytes;
            }
        }
        if let Some(statistics) = &statistics {
            let read = options.paths().into_iter().filter_map(|(_, path)| path).map(TensorPath::path);
            statistics.keep_off(read.chain([files.input.as_path(), target.path()]))?;
            // Not even for RMS, which has no mean: what a file holds should not depend on the kind.
            statistics.expect_tensors(4)?;
        }

        let session = server.connect(total).await?;
        let bar = progress::bar(bytes as u64);
        let mut table = Table::new(&["axes"]);
        let (mut outputs, mut numbers) = (Vec::new(), Vec::new());
        for Named { name, tensor } in tensors {
            bar.set_message(name.clone());
            let size = tensor.len() * tensor.dtype().size();
            table.push(Row::new(&name, "before", &tensor, [String::new()]));
            let statistics = statistics.is_some();
            let call = Call { client: &session.client, options: &options, parameters: &parameters, statistics };
            let Outcome { output, axes, statistics } = match tensor {
                Tensor::F32(x) => call.make(x, &name).await,
                Tensor::F64(x) => call.make(x, &name).await,
                Tensor::F16(x) => call.make(x, &name).await,
                Tensor::Bf16(x) => call.make(x, &name).await,
            }
            .map_err(|error| Error::of_call(error, &files.input, &[&name]))?;
            table.push(Row::new(&name, "after", &output, [format!("{axes:?}")]));
            outputs.push((name, output.into()));
            numbers.extend(statistics);
            bar.inc(size as u64);
        }
        bar.finish_and_clear();
        session.close().await?;

        target.write(&outputs, metadata)?;
        if let Some(statistics) = &statistics {
            statistics.write(&numbers, None)?;
        }
        table::print(&table)?;
        table::print_written([Some(&target), statistics.as_ref()])
    }
}

/// A call for one tensor.
struct Call<'a> {
    client: &'a Client,
    options: &'a Options,
    /// Weight, bias, running mean, running variance.
    parameters: &'a [Option<Tensor>; 4],
    statistics: bool,
}

/// What a call leads to.
struct Outcome {
    output: Tensor,
    axes: Vec<usize>,
    statistics: Vec<Entry>,
}

impl Call<'_> {
    async fn make<A: Element>(self, x: ArrayD<A>, name: &str) -> Result<Outcome, CallError> {
        let Options {
            kind,
            axes,
            groups,
            eps,
            channel_axis,
            training,
            momentum,
            weight: _, // the tensors are in `parameters`
            bias: _,
            running_mean: _,
            running_var: _,
        } = self.options;
        let mut call = self.client.normalize(x).kind((*kind).into()).axes(axes.iter().copied()).groups(*groups);
        if let Some(eps) = eps {
            call = call.eps(*eps);
        }
        if let Some(channel_axis) = channel_axis {
            call = call.channel_axis(*channel_axis);
        }
        if let Some(training) = training {
            call = call.training(*training);
        }
        if let Some(momentum) = momentum {
            call = call.momentum(*momentum);
        }
        let [weight, bias, running_mean, running_var] = self.parameters;
        if let Some(weight) = weight {
            call = call.weight(weight);
        }
        if let Some(bias) = bias {
            call = call.bias(bias);
        }
        if let (Some(mean), Some(var)) = (running_mean, running_var) {
            call = call.running_statistics(mean, var);
        }
        let Normalized { output, axes, mean, rstd, running_mean, running_var } =
            call.return_statistics(self.statistics).send().await?;
        let statistics = [
            ("mean", mean.map(Tensor::from)),
            ("rstd", rstd.map(Tensor::from)),
            ("running_mean", running_mean),
            ("running_var", running_var),
        ];
        let statistics = statistics
            .into_iter()
            .filter_map(|(statistic, tensor)| Some((format!("{name}.{statistic}"), tensor?.into())));
        Ok(Outcome { output: output.into(), axes, statistics: statistics.collect() })
    }
}
