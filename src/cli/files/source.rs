//! The source of bytes that are read: a file, or the content of a pipe.

use std::{
    fs::File,
    io::{self, Write as _},
    os::{
        fd::AsFd,
        unix::fs::{FileTypeExt as _, MetadataExt as _},
    },
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use procfs::{Current as _, Meminfo};
use rustix::buffer::spare_capacity;

use super::identity::{Identity, STANDARD};
use crate::{cli::text, streams::Blocking};

/// The number of first bytes of a stream that are checked while it is read. A shorter stream ends before it fills the
/// disk.
const CHECKED: usize = 64;

/// Bytes that can be read at any offset, by several threads. Clones are the same bytes.
///
/// A file is read in pieces, and not mapped: a file that is shortened meanwhile is then an error, and not a SIGBUS.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Source(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    File {
        file: File,
        len: u64,
        /// The time of its last change, when it was opened.
        changed: Time,
        /// The file that was opened, if an output could overwrite it. It is not `file` if that has the content of a
        /// named pipe.
        identity: Option<Identity>,
    },
    Memory(Bytes),
}

/// Seconds and nanoseconds.
type Time = (i64, i64);

impl Source {
    /// Opens a file. The content of a pipe or of standard input (`-`) is first copied to a file without a name, since
    /// tensors are not read in the order of their bytes. `check` refuses wrong first bytes of such a stream,
    /// [`CHECKED`] of them, so that a device without an end does not fill the disk.
    pub(in crate::cli) fn open(path: &Path, check: impl FnMut(Bytes) -> Result<(), String>) -> io::Result<Self> {
        let (file, identity) = if path.as_os_str() == STANDARD {
            // A pipe or a socket has no content that an output could overwrite.
            let given = File::from(io::stdin().as_fd().try_clone_to_owned()?).metadata()?;
            (spool(io::stdin(), check)?, given.is_file().then(|| (&given).into()))
        } else {
            let file = File::open(path)?;
            let given = file.metadata()?;
            let kind = given.file_type();
            if kind.is_dir() {
                return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
            }
            let identity = (!kind.is_char_device()).then(|| (&given).into());
            let is_stream = kind.is_fifo() || kind.is_char_device() || kind.is_socket();
            (if is_stream { spool(file, check)? } else { file }, identity)
        };
        let now = file.metadata()?;
        let (len, changed) = (now.len(), (now.mtime(), now.mtime_nsec()));
        Ok(Self(Arc::new(Kind::File { file, len, changed, identity })))
    }

    pub(in crate::cli) fn memory(bytes: Bytes) -> Self {
        Self(Arc::new(Kind::Memory(bytes)))
    }

    /// The file that was opened, if an output could overwrite it.
    pub(super) fn identity(&self) -> Option<Identity> {
        match &*self.0 {
            Kind::File { identity, .. } => identity.clone(),
            Kind::Memory(_) => None,
        }
    }

    /// Refuses a file that has changed since it was opened: the bytes that were read may be a mixture of old and new
    /// ones.
    pub(super) fn expect_unchanged(&self) -> io::Result<()> {
        let Kind::File { file, len, changed, identity: _ } = &*self.0 else { return Ok(()) };
        let now = file.metadata()?;
        if (now.len(), (now.mtime(), now.mtime_nsec())) == (*len, *changed) {
            return Ok(());
        }
        Err(io::Error::other("it has changed while it was read"))
    }

    /// How many bytes there are.
    pub(in crate::cli) fn len(&self) -> u64 {
        match &*self.0 {
            Kind::File { len, .. } => *len,
            Kind::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// Exactly these bytes.
    pub(in crate::cli) fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let mut bytes = Vec::new();
        self.append(offset, len, &mut bytes)?;
        Ok(bytes.into())
    }

    /// Appends exactly these bytes, without filling the new part of `to` with zeros first.
    pub(in crate::cli) fn append(&self, offset: u64, len: usize, to: &mut Vec<u8>) -> io::Result<()> {
        let file = match &*self.0 {
            Kind::File { file, .. } => file,
            Kind::Memory(bytes) => {
                let all = usize::try_from(offset).ok().and_then(|from| bytes.get(from..)?.get(..len));
                to.extend_from_slice(all.ok_or(io::ErrorKind::UnexpectedEof)?);
                return Ok(());
            }
        };
        let end = to.len() + len;
        to.reserve_exact(len);
        while to.len() < end {
            let read = offset + (len - (end - to.len())) as u64;
            let before = to.len();
            match rustix::io::pread(file, spare_capacity(to), read) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has become shorter")),
                Ok(_) => to.truncate(end),
                Err(rustix::io::Errno::INTR) => to.truncate(before),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The first bytes, as many as there are.
    pub(in crate::cli) fn beginning(&self, at_most: usize) -> io::Result<Bytes> {
        self.read(0, usize::try_from(self.len()).unwrap_or(usize::MAX).min(at_most))
    }
}

/// Refuses so many bytes if the machine does not have the memory: a sparse file may claim any length.
pub(in crate::cli) fn expect_memory(bytes: usize) -> io::Result<()> {
    // Where the available memory is not known, the allocation is tried.
    let available = Meminfo::current().ok().and_then(|memory| memory.mem_available);
    match available {
        Some(available) if bytes as u64 > available => {
            let reason = format!("it takes {bytes} bytes of memory, and {available} are available");
            Err(io::Error::new(io::ErrorKind::OutOfMemory, reason))
        }
        Some(_) | None => Ok(()),
    }
}

/// A file without a name in the folder for temporary files, which is gone when it is closed.
pub(super) fn nameless() -> io::Result<File> {
    tempfile::tempfile().map_err(|error| in_temporary_folder(&error))
}

/// An error of a temporary file, which names the folder for temporary files, since no argument does.
pub(super) fn in_temporary_folder(error: &io::Error) -> io::Error {
    let words = error.to_string();
    // The crate adds the temporary file's own name.
    let words = words.split(" at path ").next().unwrap_or_default();
    let folder = std::env::temp_dir();
    io::Error::new(
        error.kind(),
        format!("in the folder for temporary files, {} (TMPDIR): {words}", text::path(&folder)),
    )
}

/// Copies a stream to a file without a name, which is gone when it is closed. `check` gets the first [`CHECKED`] bytes
/// as soon as they are there.
fn spool(from: impl AsFd, mut check: impl FnMut(Bytes) -> Result<(), String>) -> io::Result<File> {
    let mut from = Blocking(from);
    let mut file = nameless()?;
    let mut buffer = vec![0; 1 << 20];
    let mut beginning = Vec::new();
    loop {
        let read = match io::Read::read(&mut from, &mut buffer)? {
            0 => return Ok(file),
            read => &buffer[..read],
        };
        if beginning.len() < CHECKED {
            beginning.extend(read.iter().take(CHECKED - beginning.len()));
            if beginning.len() == CHECKED {
                check(Bytes::copy_from_slice(&beginning)).map_err(io::Error::other)?;
            }
        }
        file.write_all(read).map_err(|error| in_temporary_folder(&error))?;
    }
}
