//! The flags that the commands on files have in common, and the files that they open.

use std::path::PathBuf;

use clap::Args;

use super::{
    error::Error,
    files::{self, Contents, Form, Format, Output, Selection, Stored, Target, element},
    run::Destination,
    tasks::blocking,
    text,
};

/// What is read and written.
#[derive(Args, Clone, Debug)]
pub(super) struct FileArgs {
    /// The tensors: a .npy file (float16, float32, float64; C or Fortran order), a .safetensors file (also bfloat16), or the
    /// .safetensors.index.json of several; `-` is standard input. Tensors of a .safetensors file that are not computed with,
    /// such as integers, are passed on as they are.
    #[arg(value_name = "INPUT")]
    pub(super) input: PathBuf,

    /// Where the result goes: a .npy or .safetensors file, which is replaced if it exists; `-` is standard output. Default: INPUT
    /// with the operation in front of its extension, such as digits.layer.npy, which must not exist yet. INPUT itself is never
    /// overwritten.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Replace the default result if it exists, where `--output` is not given.
    #[arg(long)]
    force: bool,

    /// Take only the tensors of a .safetensors file that have this name or match this pattern (`*`, `?`, `[ab]`, `{a,b}`), and
    /// write only those; may be given several times. Default: all.
    #[arg(long, value_name = "GLOB")]
    tensor: Vec<String>,

    /// Leave out the tensors that have this name or match this pattern; may be given several times.
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
}

/// The tensors that are read, and the file for the result.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) contents: Contents,
    pub(super) target: Target,
    /// Of the input.
    pub(super) format: Format,
    /// Of each tensor, whether it is computed with; the others are passed on.
    pub(super) computed: Vec<bool>,
}

impl FileArgs {
    /// Reads the headers of the input, and checks that the result may be written. `takes`: whether the operation can
    /// take a tensor of so many dimensions.
    pub(super) async fn open(&self, operation: &str, takes: fn(usize) -> bool) -> Result<Opened, Error> {
        let (arguments, operation) = (self.clone(), operation.to_owned());
        // Reading a pipe takes as long as its writer does.
        blocking(move || arguments.open_now(&operation, takes)).await
    }

    fn open_now(&self, operation: &str, takes: fn(usize) -> bool) -> Result<Opened, Error> {
        let Self { input, output, force, tensor, exclude } = self;
        if let Some(twice) =
            tensor.iter().enumerate().find_map(|(at, name)| tensor[..at].contains(name).then_some(name))
        {
            return Err(Error::usage("--tensor", format!("'{}' is given twice", text::name(twice))));
        }
        let early = |format| match output {
            Some(path) => Target::named("--output", path, format),
            None => Target::beside(input, operation, *force, format),
        };
        // Errors that do not depend on the input come before it is read: it may be a pipe that takes long.
        if let Some(format) = Format::of(input) {
            early(format)?.keep_off_inputs([input.as_path()])?;
        }
        let (contents, format) = files::read("INPUT", input, &Selection { tensor, exclude })?;
        let target = early(format)?;
        target.keep_off_inputs([input.as_path()])?;
        target.keep_off_read(&contents.read)?;
        let computed: Vec<bool> = contents
            .tensors
            .iter()
            .map(|Stored { dtype, shape, .. }| element::computed(*dtype).is_some() && takes(shape.len()))
            .collect();
        if let (Some(first), false) = (contents.tensors.first(), computed.contains(&true)) {
            let reason = format!(
                "there is nothing to compute: tensor '{}', {} of shape {:?}, would be copied unchanged, and so would all others",
                text::name(&first.name),
                element::name(first.dtype),
                first.shape
            );
            return Err(Error::file(input, reason));
        }
        let forms: Vec<Form> = contents.tensors.iter().map(Stored::form).collect();
        target.lay_out(&forms, &contents)?;
        Ok(Opened { contents, target, format, computed })
    }
}

impl Opened {
    /// Opens the file for the result, and returns the destination of each tensor.
    pub(super) async fn create(&self) -> Result<(Output, Vec<Destination>), Error> {
        let forms = self.contents.tensors.iter().map(Stored::form).collect();
        create(self.target.clone(), forms, self.contents.clone()).await
    }

    /// The bytes of all tensors that are computed with, and of all.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let len = |(tensor, _): (&Stored, &bool)| tensor.len as u64;
        let all = || self.contents.tensors.iter().zip(&self.computed);
        (all().filter(|(_, computed)| **computed).map(len).sum(), all().map(len).sum())
    }
}

/// Opens a file for tensors of these forms, with the metadata of `contents`, and returns their
/// destinations.
pub(super) async fn create(
    target: Target,
    forms: Vec<Form>,
    contents: Contents,
) -> Result<(Output, Vec<Destination>), Error> {
    blocking(move || {
        let (header, offsets) = target.lay_out(&forms, &contents)?;
        let len = header.len() as u64 + forms.iter().map(|form| form.len as u64).sum::<u64>();
        let output = target.open(len)?;
        let writer = output.writer();
        writer.write(0, &header)?;
        let destinations = offsets.into_iter().map(|offset| Destination { writer: writer.clone(), offset });
        let destinations = destinations.collect();
        Ok((output, destinations))
    })
    .await
}
