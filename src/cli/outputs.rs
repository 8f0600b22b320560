//! Where the results of a command go, by its arguments.

use std::path::{Path, PathBuf};

use super::{
    error::Error,
    files::{Format, STANDARD, Target},
    text,
};

const FLAG: &str = "--output";

/// The places for the results of all inputs.
#[derive(Clone, Debug)]
pub(super) enum Outputs {
    /// Beside each input, with the operation in the name.
    Beside {
        /// Whether files that are there are replaced.
        force: bool,
    },
    /// One file, or standard output.
    File(PathBuf),
    /// In a folder, under the names of the inputs.
    Folder(PathBuf),
}

impl Outputs {
    /// The places that `--output` and `--force` name for these inputs.
    ///
    /// # Errors
    /// There are several inputs, and `output` is no folder.
    pub(super) fn of(output: Option<&Path>, force: bool, inputs: &[PathBuf]) -> Result<Self, Error> {
        let Some(path) = output else { return Ok(Self::Beside { force }) };
        if path.is_dir() {
            if inputs.iter().any(|input| input.as_os_str() == STANDARD) {
                let reason =
                    format!("{} is a folder, and standard input has no name for a file in it", text::path(path));
                return Err(Error::usage(FLAG, reason));
            }
            return Ok(Self::Folder(path.to_owned()));
        }
        if inputs.len() > 1 {
            let reason = format!("{} must be a folder that is there, for {} inputs", text::path(path), inputs.len());
            return Err(Error::usage(FLAG, reason));
        }
        Ok(Self::File(path.to_owned()))
    }

    /// Whether each shard of an index has a result of its own.
    pub(super) fn keep_shards(&self) -> bool {
        matches!(self, Self::Folder(_))
    }

    /// The place for the result of an input of this format.
    pub(super) fn target(&self, input: &Path, operation: &str, format: Format) -> Result<Target, Error> {
        match self {
            Self::Beside { force } => Target::beside(input, operation, *force, format),
            Self::File(path) => Target::named(FLAG, path, format),
            Self::Folder(folder) => Target::named(FLAG, &in_folder(folder, input), format),
        }
    }

    /// The place for an index whose shards are kept.
    pub(super) fn index(&self, input: &Path) -> Option<Target> {
        match self {
            Self::Folder(folder) => Some(Target::index(FLAG, in_folder(folder, input))),
            Self::Beside { .. } | Self::File(_) => None,
        }
    }
}

/// The path in a folder that has the name of an input, which is a file and so has one.
fn in_folder(folder: &Path, input: &Path) -> PathBuf {
    folder.join(input.file_name().unwrap_or_default())
}
