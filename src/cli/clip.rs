//! `evenkeel clip`: clips the gradients in a file, all together.

use clap::{Args, ValueEnum};
use evenkeel_client::{Clipped, Gradient};

use super::{
    arguments::{FileArgs, ServerArgs},
    error::Error,
    files::{Contents, Named},
    progress,
    summary::changed,
    table::{self, Row, Table, number, percent},
};

/// How gradients are clipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// By one norm over all elements of all tensors.
    #[default]
    Norm,
    /// Every element to [-threshold, threshold].
    Value,
    /// As `norm`, each tensor by its own norm.
    NormPerTensor,
}

/// The flags of `evenkeel clip`.
#[derive(Args, Clone, Debug)]
pub struct ClipArgs {
    #[command(flatten)]
    files: FileArgs,

    #[command(flatten)]
    server: ServerArgs,

    /// How to clip.
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,

    /// The largest norm, or (`--mode value`) the largest absolute value.
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0, allow_hyphen_values = true)]
    threshold: f64,

    /// The order of the norm: above 0, or `inf` for the largest absolute value. Default: 2.
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    norm_type: Option<f64>,

    /// Fail, and write nothing, if a norm is NaN or infinite.
    #[arg(long)]
    error_if_nonfinite: bool,

    /// A norm that was reduced elsewhere, of gradients of which INPUT holds a part; for `--mode norm`.
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    total_norm: Option<f64>,
}

impl ClipArgs {
    /// Clips, writes and prints.
    ///
    /// # Errors
    /// [`Error`]; then nothing is written, unless it says so.
    pub async fn run(self) -> Result<(), Error> {
        let Self { files, server, mode, threshold, norm_type, error_if_nonfinite, total_norm } = self;
        let (Contents { tensors, metadata, bytes }, target) = files.open("clipped")?;

        let session = server.connect(bytes).await?;
        let bar = progress::bar(bytes as u64);
        let gradients = session.client.clip_gradients(tensors.iter().map(|Named { name, tensor }| (name, tensor)));
        let mut call = match mode {
            Mode::Norm => gradients.by_norm(threshold),
            Mode::Value => gradients.by_value(threshold),
            Mode::NormPerTensor => gradients.by_norm_per_tensor(threshold),
        };
        if let Some(norm_type) = norm_type {
            call = call.norm_type(norm_type);
        }
        if let Some(total_norm) = total_norm {
            call = call.total_norm(total_norm);
        }
        // One call for all: the bar can only tell that it is under way.
        bar.tick();
        let clipped = call.error_if_nonfinite(error_if_nonfinite).send().await.map_err(|error| {
            let names: Vec<&str> = tensors.iter().map(|Named { name, tensor: _ }| name.as_str()).collect();
            Error::of_call(error, &files.input, &names)
        })?;
        bar.finish_and_clear();
        session.close().await?;

        let Clipped { gradients, total_norm, scale, clipped_elements, tensor_norms: _ } = clipped;
        let mut table = Table::new(&["clipped"]);
        for (Named { name, tensor: before }, Gradient { name: _, tensor: after }) in tensors.iter().zip(&gradients) {
            table.push(Row::new(name, "before", before, [String::new()]));
            table.push(Row::new(name, "after", after, [percent(changed(before, after))]));
        }
        let outputs: Vec<_> = gradients.into_iter().map(|Gradient { name, tensor }| (name, tensor.into())).collect();
        target.write(&outputs, metadata)?;
        table::print(&table)?;
        let total = number(total_norm);
        table::print(match mode {
            Mode::Norm => format!("total norm {total}, factor {}\n", number(scale)),
            Mode::NormPerTensor => format!("total norm {total}, smallest factor {}\n", number(scale)),
            Mode::Value => format!("total norm {total}, elements clipped: {clipped_elements}\n"),
        })?;
        table::print_written([Some(&target)])
    }
}
