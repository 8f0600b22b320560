//! The identity of the file that a path leads to: paths to the same file, also to one that is not there yet, have the
//! same.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata},
    io,
    os::{
        fd::AsFd,
        unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::OFlags,
    io::Errno,
    process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open},
};

/// Standard input or output, where a path is expected.
pub(in crate::cli) const STANDARD: &str = "-";

/// The system's own limit on links that lead to links.
const MAX_LINKS: usize = 40;
/// The number of standard output.
const STANDARD_OUTPUT: i32 = 1;

/// The identity of a file, which no other file has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::cli) enum Identity {
    /// A file, by its device and its number there.
    There(u64, u64),
    /// A name in a folder where no file has it yet.
    New(u64, u64, OsString),
}

impl From<&Metadata> for Identity {
    fn from(file: &Metadata) -> Self {
        Self::There(file.dev(), file.ino())
    }
}

impl Identity {
    /// The file that a name leads to, `-` being standard output; `None` where it leads nowhere.
    pub(in crate::cli) fn of(path: &Path) -> Option<Self> {
        if path.as_os_str() == STANDARD {
            return Self::of_standard_output();
        }
        if let Ok(file) = fs::metadata(path) {
            return Some((&file).into());
        }
        let real = follow(path).ok()?;
        let in_folder = fs::metadata(folder(&real)).ok()?;
        Some(Self::New(in_folder.dev(), in_folder.ino(), real.file_name()?.to_owned()))
    }

    pub(super) fn of_standard_output() -> Option<Self> {
        let file = rustix::fs::fstat(io::stdout()).ok()?;
        Some(Self::There(file.st_dev, file.st_ino))
    }
}

/// The folder of a file.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Where links lead, also to a file that is not there yet.
pub(super) fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut real = path.to_owned();
    for _ in 0..MAX_LINKS {
        match real.symlink_metadata() {
            Ok(metadata) if metadata.is_symlink() => real = folder(&real).join(fs::read_link(&real)?),
            Ok(_) => return Ok(real),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(real),
            Err(error) => return Err(error),
        }
    }
    Err(Errno::LOOP.into())
}

/// The number of an open file of this process, if the name is one of its names.
pub(super) fn descriptor(path: &Path) -> Option<i32> {
    match path.as_os_str().as_bytes() {
        b"-" | b"/dev/stdout" => Some(STANDARD_OUTPUT),
        b"/dev/stderr" => Some(2),
        bytes => {
            let number = bytes.strip_prefix(b"/dev/fd/").or_else(|| bytes.strip_prefix(b"/proc/self/fd/"))?;
            str::from_utf8(number).ok()?.parse().ok()
        }
    }
}

/// Whether the name is one of standard output's own.
pub(super) fn names_standard_output(path: &Path) -> bool {
    descriptor(path) == Some(STANDARD_OUTPUT)
}

/// Another descriptor of an open file, which shares its position and flags: writes to a file that was opened for
/// appending are appended.
pub(super) fn duplicate(number: i32) -> io::Result<File> {
    let file = match number {
        STANDARD_OUTPUT => io::stdout().as_fd().try_clone_to_owned()?,
        2 => io::stderr().as_fd().try_clone_to_owned()?,
        _ => pidfd_getfd(pidfd_open(getpid(), PidfdFlags::empty())?, number, PidfdGetfdFlags::empty())?,
    };
    if !rustix::fs::fcntl_getfl(&file)?.intersects(OFlags::WRONLY | OFlags::RDWR) {
        return Err(Errno::BADF.into());
    }
    Ok(file.into())
}
