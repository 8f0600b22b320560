//! A file to be written: where, whether it may be, and all of it or nothing.

use std::{
    collections::HashMap,
    fs,
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use super::{Contents, Entry, Format};
use crate::cli::error::Error;

/// A file to be written.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Target {
    /// The flag that names it, for errors.
    flag: &'static str,
    path: PathBuf,
    format: Format,
    overwrite: bool,
}

impl Target {
    /// A file that was named, and so may be there already.
    pub(in crate::cli) fn named(flag: &'static str, path: &Path) -> Result<Self, Error> {
        let format = Format::of(flag, path)?;
        Ok(Self { flag, path: path.to_owned(), format, overwrite: true })
    }

    /// A file beside the input, with the operation's name in front of the extension; it must not be there, unless
    /// `force`.
    pub(in crate::cli) fn beside(input: &Path, operation: &str, force: bool) -> Result<Self, Error> {
        let format = Format::of("INPUT", input)?;
        let extension = input.extension().unwrap_or_default().to_string_lossy();
        let path = input.with_extension(format!("{operation}.{extension}"));
        if !force && path.exists() {
            return Err(Error::usage(
                "--output",
                format!("{} is there already; --force overwrites it, --output names another", path.display()),
            ));
        }
        Ok(Self { flag: "--output", path, format, overwrite: force })
    }

    /// Refuses to overwrite what the command reads, and what it writes elsewhere.
    pub(in crate::cli) fn keep_off<'a>(&self, others: impl IntoIterator<Item = &'a Path>) -> Result<(), Error> {
        // Two names of one file have one canonical name; a file that is not there yet is known by its folder's.
        let canonical = |path: &Path| {
            fs::canonicalize(path).ok().or_else(|| {
                let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
                Some(fs::canonicalize(folder).ok()?.join(path.file_name()?))
            })
        };
        let own = canonical(&self.path);
        let is_own = |other: &&Path| *other == self.path || own.is_some() && canonical(other) == own;
        match others.into_iter().find(is_own) {
            Some(other) => {
                Err(Error::usage(self.flag, format!("{} would overwrite {}", self.path.display(), other.display())))
            }
            None => Ok(()),
        }
    }

    /// Refuses, for the tensors that were read, what the format cannot hold.
    pub(in crate::cli) fn expect(&self, contents: &Contents) -> Result<(), Error> {
        self.expect_tensors(contents.tensors.len())?;
        match self.format {
            Format::Npy if contents.has_bfloat16() => {
                Err(self.refuse("a .npy file does not hold bfloat16; .safetensors does"))
            }
            Format::Npy | Format::Safetensors => Ok(()),
        }
    }

    /// Refuses so many tensors, if the format cannot hold them.
    pub(in crate::cli) fn expect_tensors(&self, count: usize) -> Result<(), Error> {
        match self.format {
            Format::Npy if count != 1 => Err(self.refuse(&format!(
                "a .npy file holds one tensor, and there are {count} to write; .safetensors holds them"
            ))),
            Format::Npy | Format::Safetensors => Ok(()),
        }
    }

    fn refuse(&self, reason: &str) -> Error {
        Error::usage(self.flag, format!("{}: {reason}", self.path.display()))
    }

    pub(in crate::cli) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a new file and puts it in its place: whoever looks finds the old one or the whole new one.
    pub(in crate::cli) fn write(
        &self,
        entries: &[Entry],
        metadata: Option<HashMap<String, String>>,
    ) -> Result<(), Error> {
        self.try_write(entries, metadata).map_err(|error| Error::file(&self.path, format!("cannot write: {error}")))
    }

    fn try_write(&self, entries: &[Entry], metadata: Option<HashMap<String, String>>) -> io::Result<()> {
        let folder = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".evenkeel-");
        // Temporary files are for their owner's eyes; this one becomes a file like others, as the umask allows.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(folder)?;
        let mut out = BufWriter::new(file.as_file_mut());
        super::write(self.format, entries, metadata, &mut out)?;
        out.flush()?;
        drop(out);
        if self.overwrite {
            file.persist(&self.path)?;
        } else {
            file.persist_noclobber(&self.path)?;
        }
        Ok(())
    }
}
