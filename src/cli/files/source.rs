//! What is read from: a file, or what has come through a pipe.

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::FileTypeExt as _,
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use rustix::buffer::spare_capacity;

/// Standard input or output, where a path is expected.
pub(in crate::cli) const STANDARD: &str = "-";

/// Bytes that can be read anywhere, by several threads. Clones are the same bytes.
///
/// A file is read in pieces, and not mapped: a file that somebody shortens is then an error, and not a SIGBUS.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Source(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    File { file: File, len: u64 },
    Memory(Bytes),
}

impl Source {
    /// Opens a file. What a pipe or standard input (`-`) brings is put in a file without a name first: the parts of a file
    /// of tensors are not read in their order.
    pub(in crate::cli) fn open(path: &Path) -> io::Result<Self> {
        let file = if path.as_os_str() == STANDARD {
            spool(io::stdin().lock())?
        } else {
            let file = File::open(path)?;
            let kind = file.metadata()?.file_type();
            if kind.is_dir() {
                return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
            }
            if kind.is_fifo() || kind.is_char_device() || kind.is_socket() { spool(file)? } else { file }
        };
        let len = file.metadata()?.len();
        Ok(Self(Arc::new(Kind::File { file, len })))
    }

    pub(in crate::cli) fn memory(bytes: Bytes) -> Self {
        Self(Arc::new(Kind::Memory(bytes)))
    }

    /// How many bytes there are.
    pub(in crate::cli) fn len(&self) -> u64 {
        match &*self.0 {
            Kind::File { file: _, len } => *len,
            Kind::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// Exactly these bytes.
    pub(in crate::cli) fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let mut bytes = Vec::new();
        self.append(offset, len, &mut bytes)?;
        Ok(bytes.into())
    }

    /// Appends exactly these bytes, which are not written before they are read.
    pub(in crate::cli) fn append(&self, offset: u64, len: usize, to: &mut Vec<u8>) -> io::Result<()> {
        let file = match &*self.0 {
            Kind::File { file, len: _ } => file,
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

/// A file that has no name, and is gone when it is closed, with all of this in it.
fn spool(mut from: impl io::Read) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(file),
            Ok(read) => file.write_all(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
