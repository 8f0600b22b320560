//! A file that a command writes as a whole: it has its name when it is complete, and not before.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use super::error::Error;
use crate::streams::Blocking;

/// A file that is written, and has not its name yet. If this is dropped, nothing of it stays.
#[derive(Debug)]
pub(super) struct Document {
    file: NamedTempFile,
    path: PathBuf,
    bytes: u64,
}

/// Writes a file, or to standard output if the path is `-`. Blocks until a pipe is read.
///
/// `None`: the content went to standard output, a pipe or a device, and cannot be taken back.
pub(super) fn write(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<Option<Document>, Error> {
    let refuse = |error: io::Error| Error::file(path, format!("cannot write: {error}"));
    if path.as_os_str() == "-" {
        return match counted(Blocking(io::stdout()), content) {
            // A reader that has closed its end has read enough.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
            Ok(_) | Err(_) => Ok(None),
        };
    }
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => return Err(refuse(io::ErrorKind::IsADirectory.into())),
        Ok(there) if !there.is_file() => {
            let file = File::options().write(true).open(path).map_err(refuse)?;
            counted(Blocking(file), content).map_err(refuse)?;
            return Ok(None);
        }
        Ok(_) | Err(_) => {}
    }
    // The file that a link leads to is replaced, and not the link.
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = real.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The mode that the umask allows, as other files have it. The crate's errors name the temporary file, which nobody knows.
    let file = tempfile::Builder::new()
        .prefix(".evenkeel-")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(|error| {
            let is_missing = error.kind() == io::ErrorKind::NotFound;
            refuse(if is_missing { io::Error::other("there is no such folder") } else { error.kind().into() })
        })?;
    let bytes = counted(&file, content).map_err(refuse)?;
    Ok(Some(Document { file, path: real, bytes }))
}

impl Document {
    /// Gives the file its name; returns the number of bytes.
    pub(super) fn place(self) -> Result<u64, Error> {
        let Self { file, path, bytes } = self;
        file.persist(&path).map_err(|error| Error::file(&path, format!("cannot write: {}", error.error)))?;
        Ok(bytes)
    }
}

fn counted(to: impl Write, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<u64> {
    let mut to = Counted { to: BufWriter::with_capacity(1 << 16, to), bytes: 0 };
    content(&mut to)?;
    to.flush()?;
    Ok(to.bytes)
}

/// Counts the bytes that are written.
struct Counted<W> {
    to: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
