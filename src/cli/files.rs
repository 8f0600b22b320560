//! Tensors in files: `.npy` and `.safetensors`, told apart by their extensions.

mod npy;
mod safetensors;
mod target;

use std::{
    collections::HashMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    str::FromStr,
};

use evenkeel_client::{DType, Tensor};
use ndarray::ArrayD;

use super::error::Error;
pub(super) use target::Target;

/// The formats, by their extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One tensor, NumPy's own format: float16, float32, float64.
    Npy,
    /// Tensors by name, and metadata.
    Safetensors,
}

impl Format {
    /// What the extension of the file that a flag names says.
    fn of(flag: &str, path: &Path) -> Result<Self, Error> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("npy") => Ok(Self::Npy),
            Some("safetensors") => Ok(Self::Safetensors),
            Some(_) | None => {
                Err(Error::usage(flag, format!("{} is neither a .npy nor a .safetensors file", path.display())))
            }
        }
    }
}

/// A tensor and its name; in a `.npy` file, the name of the file without its extension.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) tensor: Tensor,
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Contents {
    pub(super) tensors: Vec<Named>,
    /// What a `.safetensors` file says about itself.
    pub(super) metadata: Option<HashMap<String, String>>,
    /// The length of the file.
    pub(super) bytes: usize,
}

/// What a tensor that is written is made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Payload {
    Numbers(Tensor),
    Mask(ArrayD<bool>),
}

impl From<Tensor> for Payload {
    fn from(tensor: Tensor) -> Self {
        Self::Numbers(tensor)
    }
}

/// A tensor to write.
pub(super) type Entry = (String, Payload);

/// Reads the tensors of the file that a flag names, in the order they have there; if names are given, only those, in
/// the order given.
pub(super) fn read(flag: &str, path: &Path, only: &[String]) -> Result<Contents, Error> {
    let format = Format::of(flag, path)?;
    let bytes = fs::read(path).map_err(|error| Error::file(path, error))?;
    match format {
        Format::Npy => {
            if !only.is_empty() {
                return Err(Error::usage("--tensor", format!("{} holds one tensor, without a name", path.display())));
            }
            let tensor = npy::read(&bytes).map_err(|reason| Error::file(path, reason))?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Ok(Contents { tensors: vec![Named { name, tensor }], metadata: None, bytes: bytes.len() })
        }
        Format::Safetensors => safetensors::read(&bytes, only).map_err(|reason| Error::file(path, reason)),
    }
}

/// The number of elements in the bytes of a `.npy` file, or why it is none. Only for `fuzz/`.
///
/// # Errors
/// What the command line would say of the file.
#[doc(hidden)]
pub fn count_npy(bytes: &[u8]) -> Result<usize, String> {
    npy::read(bytes).map(|tensor| tensor.len())
}

/// As [`count_npy`], of a `.safetensors` file.
///
/// # Errors
/// What the command line would say of the file.
#[doc(hidden)]
pub fn count_safetensors(bytes: &[u8]) -> Result<usize, String> {
    let contents = safetensors::read(bytes, &[])?;
    Ok(contents.tensors.iter().map(|Named { name: _, tensor }| tensor.len()).sum())
}

/// Writes tensors in a format that can hold them: see [`Target::expect`].
fn write(
    format: Format,
    entries: &[Entry],
    metadata: Option<HashMap<String, String>>,
    out: impl Write,
) -> io::Result<()> {
    match (format, entries) {
        (Format::Npy, [(_, payload)]) => npy::write(payload, out),
        (Format::Npy, _) => Err(io::Error::other("a .npy file holds exactly one tensor")),
        (Format::Safetensors, entries) => safetensors::write(entries, metadata, out),
    }
}

impl Contents {
    /// Whether there is a tensor that a `.npy` file cannot hold.
    fn has_bfloat16(&self) -> bool {
        self.tensors.iter().any(|Named { name: _, tensor }| tensor.dtype() == DType::Bf16)
    }
}

/// One tensor of a file, as a flag names it: `FILE` or `FILE:NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TensorPath {
    path: PathBuf,
    name: Option<String>,
}

impl FromStr for TensorPath {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A path may hold colons (`C:\`), and so may a name; the extension stands between the two.
        const SEPARATOR: &str = ".safetensors:";
        Ok(match text.find(SEPARATOR) {
            Some(dot) => {
                let (path, name) = text.split_at(dot + SEPARATOR.len());
                Self { path: path[..path.len() - 1].into(), name: Some(name.to_owned()) }
            }
            None => Self { path: text.into(), name: None },
        })
    }
}

impl TensorPath {
    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the tensor, and tells the length of its file.
    pub(super) fn read(&self, flag: &str) -> Result<(Tensor, usize), Error> {
        let Self { path, name } = self;
        let Contents { mut tensors, metadata: _, bytes } = read(flag, path, name.as_slice())?;
        match (tensors.pop(), tensors.len()) {
            (Some(Named { name: _, tensor }), 0) => Ok((tensor, bytes)),
            (last, rest) => {
                let count = rest + usize::from(last.is_some());
                let reason = format!("{0} holds {count} tensors; name one, as {0}:NAME", path.display());
                Err(Error::usage(flag, reason))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (String, Option<String>) {
        let Ok(TensorPath { path, name }) = text.parse();
        (path.display().to_string(), name)
    }

    #[test]
    fn a_name_follows_the_extension() {
        assert_eq!(parse("a/w.npy"), ("a/w.npy".to_owned(), None));
        assert_eq!(parse("a:b/w.safetensors"), ("a:b/w.safetensors".to_owned(), None));
        assert_eq!(parse("c:/w.safetensors:ln.weight"), ("c:/w.safetensors".to_owned(), Some("ln.weight".to_owned())));
        assert_eq!(parse("w.safetensors:a:b"), ("w.safetensors".to_owned(), Some("a:b".to_owned())));
    }
}
