//! `evenkeel dropout`: drops elements of the tensors of a file.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use evenkeel_client::{Client, DropoutKind, DropoutScaling, Dropped, Element, Error as CallError, Tensor};
use ndarray::ArrayD;

use super::{
    arguments::{FileArgs, ServerArgs},
    error::Error,
    files::{Contents, Named, Payload, Target},
    progress,
    summary::share,
    table::{self, Row, Table, percent},
};

/// What is dropped together, and what takes its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// One draw for every element; dropped ones become 0.
    #[default]
    Element,
    /// One draw for every (n, c).
    Channel,
    /// One draw for every element; an affine map keeps mean and variance.
    Alpha,
    /// As `alpha`, with one draw for every (n, c).
    FeatureAlpha,
}

impl From<Kind> for DropoutKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Element => Self::Element,
            Kind::Channel => Self::Channel,
            Kind::Alpha => Self::Alpha,
            Kind::FeatureAlpha => Self::FeatureAlpha,
        }
    }
}

/// What happens to the elements that are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Scaling {
    /// They are multiplied by 1 / (1 - p).
    #[default]
    Inverted,
    /// They stay what they are.
    None,
}

impl From<Scaling> for DropoutScaling {
    fn from(scaling: Scaling) -> Self {
        match scaling {
            Scaling::Inverted => Self::Inverted,
            Scaling::None => Self::None,
        }
    }
}

/// The flags of `evenkeel dropout`.
#[derive(Args, Clone, Debug)]
pub struct DropoutArgs {
    #[command(flatten)]
    files: FileArgs,

    #[command(flatten)]
    server: ServerArgs,

    #[command(flatten)]
    options: Options,

    /// Write the masks, true where an element was kept: a .npy file of bool for one tensor, a .safetensors file for
    /// several.
    #[arg(long, value_name = "FILE")]
    mask: Option<PathBuf>,
}

/// What is asked of the server.
#[derive(Args, Clone, Copy, Debug)]
struct Options {
    /// The probability that an element is dropped.
    #[arg(long, value_name = "NUMBER", default_value_t = 0.5, allow_hyphen_values = true)]
    p: f64,

    /// The key of the random stream; the same seed gives the same mask.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// The index of the first draw in the stream. Several tensors draw one after another.
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: u64,

    /// What is dropped together, and what takes its place.
    #[arg(long, value_enum, default_value_t)]
    kind: Kind,

    /// What happens to the elements that are kept.
    #[arg(long, value_enum, default_value_t)]
    scaling: Scaling,
}

impl Options {
    /// How many draws a tensor of this shape takes.
    fn draws(&self, shape: &[usize]) -> usize {
        match self.kind {
            Kind::Element | Kind::Alpha => shape.iter().product(),
            Kind::Channel | Kind::FeatureAlpha => shape.iter().take(2).product(),
        }
    }
}

impl DropoutArgs {
    /// Drops, writes and prints.
    ///
    /// # Errors
    /// [`Error`]; then nothing is written, unless it says so.
    pub async fn run(self) -> Result<(), Error> {
        let Self { files, server, mut options, mask } = self;
        let (Contents { tensors, metadata, bytes }, target) = files.open("dropout")?;
        let mask = mask.map(|path| Target::named("--mask", &path)).transpose()?;
        if let Some(mask) = &mask {
            mask.keep_off([files.input.as_path(), target.path()])?;
            mask.expect_tensors(tensors.len())?;
        }

        let session = server.connect(bytes).await?;
        let bar = progress::bar(bytes as u64);
        let mut table = Table::new(&["kept"]);
        let (mut outputs, mut masks) = (Vec::new(), Vec::new());
        for Named { name, tensor } in tensors {
            bar.set_message(name.clone());
            let (count, size) = (tensor.len(), tensor.len() * tensor.dtype().size());
            let draws = options.draws(tensor.shape());
            table.push(Row::new(&name, "before", &tensor, [String::new()]));
            let call = Call { client: &session.client, options, mask: mask.is_some() };
            let Outcome { output, kept, mask } = match tensor {
                Tensor::F32(x) => call.make(x).await,
                Tensor::F64(x) => call.make(x).await,
                Tensor::F16(x) => call.make(x).await,
                Tensor::Bf16(x) => call.make(x).await,
            }
            .map_err(|error| Error::of_call(error, &files.input, &[&name]))?;
            table.push(Row::new(&name, "after", &output, [percent(share(kept, count))]));
            masks.extend(mask.map(|mask| (name.clone(), Payload::Mask(mask))));
            outputs.push((name, output.into()));
            options.offset = options.offset.wrapping_add(draws as u64);
            bar.inc(size as u64);
        }
        bar.finish_and_clear();
        session.close().await?;

        target.write(&outputs, metadata)?;
        if let Some(mask) = &mask {
            mask.write(&masks, None)?;
        }
        table::print(&table)?;
        table::print_written([Some(&target), mask.as_ref()])
    }
}

/// A call for one tensor.
struct Call<'a> {
    client: &'a Client,
    options: Options,
    mask: bool,
}

/// What a call leads to.
struct Outcome {
    output: Tensor,
    kept: u64,
    mask: Option<ArrayD<bool>>,
}

impl Call<'_> {
    async fn make<A: Element>(self, x: ArrayD<A>) -> Result<Outcome, CallError> {
        let Options { p, seed, offset, kind, scaling } = self.options;
        let call = self.client.dropout(x, p, seed).offset(offset).kind(kind.into()).scaling(scaling.into());
        let Dropped { output, kept, mask } = call.return_mask(self.mask).send().await?;
        Ok(Outcome { output: output.into(), kept, mask })
    }
}
