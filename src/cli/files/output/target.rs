//! The path of a file that is to be written, and the checks whether it may be.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, fchown},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
    process::geteuid,
};

use super::{
    super::{
        Contents, Form, Format, Read, STANDARD,
        identity::{Identity, descriptor, duplicate, folder, follow, names_standard_output},
        npy, safetensors, shards,
        source::{in_temporary_folder, nameless},
    },
    Output, Place, cannot_write,
};
use crate::cli::{error::Error, text};

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
    /// A file that a flag names, which may be there already. `format`: that of standard output, a pipe or a device,
    /// whose name does not tell it.
    pub(in crate::cli) fn named(flag: &'static str, path: &Path, format: Format) -> Result<Self, Error> {
        if is_of_folder(path) {
            let error = if path.is_dir() {
                io::Error::new(io::ErrorKind::IsADirectory, "it is a folder")
            } else {
                io::Error::new(io::ErrorKind::NotFound, "there is no such folder")
            };
            return Err(cannot_write(path, error));
        }
        let format = match Format::of(path) {
            Some(Format::Index) => {
                let reason = format!("{} would be several files; name one .safetensors file", text::path(path));
                return Err(Error::usage(flag, reason));
            }
            Some(format) => format,
            None if is_stream(path) && format == Format::Index => Format::Safetensors,
            None if is_stream(path) => format,
            None => return Err(Format::refuse(flag, path)),
        };
        Ok(Self { flag, path: path.to_owned(), format, overwrite: true })
    }

    /// An index of shards, which may be there already.
    pub(in crate::cli) fn index(flag: &'static str, path: PathBuf) -> Self {
        Self { flag, path, format: Format::Index, overwrite: true }
    }

    /// A file beside the input, with the operation's name in front of the extension; it must not be there, unless
    /// `force`. Standard output, if the input is standard input. `format`: the input's.
    pub(in crate::cli) fn beside(input: &Path, operation: &str, force: bool, format: Format) -> Result<Self, Error> {
        const FLAG: &str = "--output";
        if input.as_os_str() == STANDARD {
            return Ok(Self { flag: FLAG, path: input.to_owned(), format, overwrite: true });
        }
        let path = match format {
            Format::Index => {
                let name = input.file_name().unwrap_or_default().to_string_lossy();
                let stem = name.strip_suffix(shards::EXTENSION).unwrap_or(&name);
                input.with_file_name(format!("{stem}.{operation}.safetensors"))
            }
            Format::Npy | Format::Safetensors => {
                let Some(extension) = input.extension() else {
                    return Err(Error::usage(FLAG, "it must be given, since the name of the input has no extension"));
                };
                input.with_extension(format!("{operation}.{}", extension.to_string_lossy()))
            }
        };
        let format = if format == Format::Npy { Format::Npy } else { Format::Safetensors };
        if !force && path.symlink_metadata().is_ok() {
            let reason = "is there already; --force overwrites it, --output names another";
            return Err(Error::usage(FLAG, format!("{} {reason}", text::path(&path))));
        }
        Ok(Self { flag: FLAG, path, format, overwrite: force })
    }

    /// Refuses to overwrite the files at these paths, which the command is going to read.
    pub(in crate::cli) fn keep_off_inputs<'a>(&self, read: impl IntoIterator<Item = &'a Path>) -> Result<(), Error> {
        // `-` is standard input here, which no output overwrites; nor do writes to a device change what is read from
        // it.
        let is_kept = |path: &&Path| {
            let is_device = fs::metadata(path).is_ok_and(|file| file.file_type().is_char_device());
            path.as_os_str() != STANDARD && !is_device
        };
        self.keep_off(read.into_iter().filter(is_kept).map(|path| (path, Identity::of(path))))
    }

    /// Refuses to overwrite the files that the command has opened to read, under any name.
    pub(in crate::cli) fn keep_off_read<'a>(&self, read: impl IntoIterator<Item = &'a Read>) -> Result<(), Error> {
        let identity = |read: &'a Read| (&*read.path, read.source.identity());
        self.keep_off(read.into_iter().map(identity).filter(|(_, identity)| identity.is_some()))
    }

    /// Refuses to overwrite another output of the command.
    pub(in crate::cli) fn keep_off_output(&self, other: &Self) -> Result<(), Error> {
        self.keep_off([(other.path(), Identity::of(other.path()))])
    }

    fn keep_off<'a>(&self, others: impl IntoIterator<Item = (&'a Path, Option<Identity>)>) -> Result<(), Error> {
        let own = Identity::of(&self.path);
        let is_own = |(path, other): &(&Path, Option<Identity>)| *path == self.path || own.is_some() && *other == own;
        match others.into_iter().find(is_own) {
            Some((other, _)) => {
                let reason = format!("{} would overwrite {}", text::path(&self.path), text::path(other));
                Err(Error::usage(self.flag, reason))
            }
            None => Ok(()),
        }
    }

    pub(in crate::cli) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the result goes to standard output, so that nothing else may be printed there.
    pub(in crate::cli) fn is_standard_output(&self) -> bool {
        let is_device = fs::metadata(&self.path).is_ok_and(|file| file.file_type().is_char_device());
        // Another name of the device behind standard output does not count: a terminal may show the report beside the
        // result, and the null device shows neither.
        names_standard_output(&self.path)
            || !is_device && Identity::of_standard_output().is_some_and(|it| Identity::of(&self.path) == Some(it))
    }

    /// Refuses so many tensors, if the format cannot hold them.
    pub(in crate::cli) fn expect_tensors(&self, count: usize) -> Result<(), Error> {
        match self.format {
            Format::Npy if count != 1 => Err(self.refuse(&format!(
                "a .npy file holds one tensor, and there are {count} to write; .safetensors holds them"
            ))),
            Format::Npy | Format::Safetensors | Format::Index => Ok(()),
        }
    }

    fn refuse(&self, reason: &str) -> Error {
        Error::usage(self.flag, format!("{}: {reason}", text::path(&self.path)))
    }

    /// The bytes before the tensors that a file is to hold, and the offset of each tensor.
    ///
    /// # Errors
    /// The format cannot hold them.
    pub(in crate::cli) fn lay_out(&self, forms: &[Form], contents: &Contents) -> Result<(Vec<u8>, Vec<u64>), Error> {
        self.expect_tensors(forms.len())?;
        match (self.format, forms) {
            (Format::Npy, [form]) => {
                let header = npy::header(form.dtype, &form.shape)
                    .map_err(|what| self.refuse(&format!("a .npy file does not hold {what}; .safetensors does")))?;
                let offset = header.len() as u64;
                Ok((header, vec![offset]))
            }
            (Format::Npy | Format::Safetensors | Format::Index, _) => {
                safetensors::header(forms, contents.metadata.as_ref()).map_err(|reason| self.refuse(&reason))
            }
        }
    }

    /// Opens the file for `len` bytes, for which there must be room. A file that is there stays until the commit.
    /// Blocks until a pipe has a reader.
    pub(in crate::cli) fn open(&self, len: u64) -> Result<Output, Error> {
        let Self { flag: _, path, format: _, overwrite } = self;
        let refuse = |error: io::Error| cannot_write(path, error);
        let (file, place) = if is_stream(path) {
            let stream = match descriptor(path) {
                Some(number) => duplicate(number),
                None => File::options().write(true).open(path),
            };
            (nameless().map_err(refuse)?, Place::Stream(stream.map_err(refuse)?))
        } else {
            let (file, place) = beside(path, *overwrite).map_err(refuse)?;
            (file, place)
        };
        match fallocate(&file, FallocateFlags::empty(), 0, len.max(1)).and_then(|()| rustix::fs::ftruncate(&file, len))
        {
            // Not every file system can reserve room.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
            Err(error) => {
                let error = io::Error::from(error);
                let is_temporary = matches!(place, Place::Stream(_));
                return Err(refuse(if is_temporary { in_temporary_folder(&error) } else { error }));
            }
        }
        Ok(Output { path: path.clone(), file: Arc::new(file), place })
    }
}

/// A new file beside the one that `path` leads to, with its mode and owner if it is there.
fn beside(path: &Path, overwrite: bool) -> io::Result<(File, Place)> {
    let real = follow(path)?;
    let existing = match real.metadata() {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if let Some(existing) = &existing {
        if existing.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
        }
        if existing.permissions().readonly() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is read-only"));
        }
        let owner = |file: &Metadata| (file.mode(), file.uid());
        if !may_replace(owner(&fs::metadata(folder(&real))?), owner(existing), geteuid().as_raw()) {
            let reason = "it is another user's, and its folder lets only the owner of a file replace it";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
        }
    }
    // `tempfile` itself would make a file that only its owner can read; this one has the mode that the umask allows, as
    // other files. Its errors also do not name the temporary file, so that only the file that was asked for is named.
    let create = |path: &Path| File::options().read(true).write(true).create_new(true).mode(0o666).open(path);
    let (file, temporary) = tempfile::Builder::new().prefix(".evenkeel-").make_in(folder(&real), create)?.into_parts();
    if let Some(existing) = &existing {
        keep(&file, existing)?;
    }
    Ok((file, Place::Beside { temporary, real, overwrite }))
}

/// Whether this user may replace a file in a folder, both given by mode and owner. In a sticky folder such as `/tmp`
/// only the owner of either may, and root: another user could not even remove a second name of the file again.
fn may_replace((mode, of_folder): (u32, u32), (_, of_file): (u32, u32), user: u32) -> bool {
    const STICKY: u32 = 0o1000;
    mode & STICKY == 0 || [0, of_folder, of_file].contains(&user)
}

/// Gives a file the mode of another, and its owner where that is allowed.
fn keep(file: &File, existing: &Metadata) -> io::Result<()> {
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (existing.uid(), existing.gid()) {
        // Only root may give files away; the group may be one of the user's own.
        let _ = fchown(file, Some(existing.uid()), Some(existing.gid()))
            .or_else(|_| fchown(file, None, Some(existing.gid())));
    }
    file.set_permissions(existing.permissions())
}

/// Whether bytes can be written there only in order: to an open file of this process, a pipe, a socket or a device.
fn is_stream(path: &Path) -> bool {
    if names_standard_output(path) {
        return true;
    }
    fs::metadata(path).is_ok_and(|file| {
        let kind = file.file_type();
        let is_open = descriptor(path).is_some() && kind.is_file();
        is_open || kind.is_fifo() || kind.is_char_device() || kind.is_socket()
    })
}

/// Whether the name can only be a folder's, whatever there is.
fn is_of_folder(path: &Path) -> bool {
    let name = path.as_os_str().as_bytes();
    [&b"/"[..], b"/.", b"/.."].iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::may_replace;

    #[test]
    fn in_a_sticky_folder_files_belong_to_their_owners() {
        for (mode, of_folder, of_file, user, expected) in [
            (0o1777, 0, 7, 7, true),
            (0o1777, 0, 0, 7, false),
            (0o1777, 0, 8, 7, false),
            (0o1777, 7, 8, 7, true),
            (0o1777, 8, 8, 0, true),
            (0o777, 0, 0, 7, true),
        ] {
            let given = may_replace((mode, of_folder), (0o666, of_file), user);
            assert_eq!(given, expected, "{mode:o} {of_folder} {of_file} {user}");
        }
    }
}
