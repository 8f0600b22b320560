//! Output files: they are opened before anything is computed, written at any offset, and put in their places together.

mod commit;
mod target;

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::TempPath;

pub(in crate::cli) use self::{commit::commit, target::Target};
use crate::cli::error::Error;

/// A file that is being written. If it is dropped, nothing of it stays.
#[derive(Debug)]
pub(in crate::cli) struct Output {
    /// As it was given.
    path: PathBuf,
    file: Arc<File>,
    place: Place,
}

/// Where the content goes in the end.
#[derive(Debug)]
enum Place {
    /// It is in a temporary file beside `real`, which is renamed to `real`.
    Beside {
        temporary: TempPath,
        real: PathBuf,
        /// Whether a file may be there already.
        overwrite: bool,
    },
    /// It is in a file without a name, and is copied to this pipe, device or standard output, which takes bytes only in
    /// order.
    Stream(File),
}

/// Writes to an [`Output`], from any thread.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Writer {
    file: Arc<File>,
    path: PathBuf,
}

impl Output {
    pub(in crate::cli) fn writer(&self) -> Writer {
        Writer { file: Arc::clone(&self.file), path: self.path.clone() }
    }
}

impl Writer {
    /// Writes bytes at a place of the file.
    pub(in crate::cli) fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all_at(bytes, offset).map_err(|error| cannot_write(&self.path, error))
    }
}

fn cannot_write(path: &Path, error: impl Into<io::Error>) -> Error {
    Error::file(path, format!("cannot write: {}", error.into()))
}
