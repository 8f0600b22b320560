//! The flags that the commands on files have in common.

use std::path::PathBuf;

use clap::Args;

use super::{error::Error, files::Selection, inputs, opened::Opened, outputs::Outputs, tasks::blocking, text};

/// What is read and written.
#[derive(Args, Clone, Debug)]
pub(super) struct FileArgs {
    /// The tensors: .npy files (float16, float32, float64; C or Fortran order), .safetensors files (also bfloat16), or the
    /// .safetensors.index.json of several; any number of them. A name with `*`, `?` or `[ab]` that no file has is a pattern
    /// for names. `-` is standard input. Tensors of a .safetensors file that are not computed with, such as integers, are
    /// passed on as they are.
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<PathBuf>,

    /// Where the result goes: a .npy or .safetensors file, which is replaced if it exists, or a folder, where each result has
    /// the name of its INPUT, and an index its shards beside it; `-` is standard output. Default: INPUT with the operation in
    /// front of its extension, such as digits.layer.npy, which must not exist yet; for an index one .safetensors file. INPUT
    /// itself is never overwritten.
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,

    /// Replace the default result if it exists, where `--output` is not given.
    #[arg(long)]
    force: bool,

    /// Take only the tensors of .safetensors files that have this name or match this pattern (`*`, `?`, `[ab]`, `{a,b}`), and
    /// write only those; may be given several times. Default: all.
    #[arg(long, value_name = "GLOB")]
    tensor: Vec<String>,

    /// Leave out the tensors that have this name or match this pattern; may be given several times.
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
}

impl FileArgs {
    /// Reads the headers of the inputs, and checks that the results may be written. `takes`: whether the operation can
    /// take a tensor of so many dimensions.
    pub(super) async fn open(&self, operation: &str, takes: fn(usize) -> bool) -> Result<Opened, Error> {
        let (arguments, operation) = (self.clone(), operation.to_owned());
        // Reading a pipe takes as long as its writer does.
        blocking(move || arguments.open_now(&operation, takes)).await
    }

    fn open_now(&self, operation: &str, takes: fn(usize) -> bool) -> Result<Opened, Error> {
        let Self { inputs, output, force, tensor, exclude } = self;
        if let Some(twice) =
            tensor.iter().enumerate().find_map(|(at, name)| tensor[..at].contains(name).then_some(name))
        {
            return Err(Error::usage("--tensor", format!("'{}' is given twice", text::name(twice))));
        }
        let paths = inputs::expand(inputs)?;
        let outputs = Outputs::of(output.as_deref(), *force, &paths)?;
        Opened::read(&paths, &outputs, operation, &Selection { tensor, exclude }, takes)
    }
}
