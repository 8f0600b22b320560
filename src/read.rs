//! Reading files that may block: a named pipe, or a network drive that hangs.
//!
//! A thread that reads such a file cannot be stopped. So each file has a thread of its own, which its caller waits for
//! up to a time limit, and which ends with the process.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::mpsc as sync_mpsc,
    thread,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// The most bytes that a file of settings, certificates or tokens may have: a bundle of all authorities has less than one MiB.
const MAX_BYTES: u64 = 16 << 20;

/// How long reading such a file may take: longer than a busy drive takes, and
/// shorter than supervisors wait for a server to start.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The content of a file, or the reason why it was not read.
pub(crate) type Content = Result<Vec<u8>, Failure>;

/// The reason why a file was not read. Two are equal if their messages are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The system's message.
    Io(String),
    /// Reading it did not end within this time.
    Late(Duration),
    /// It has more bytes than this.
    TooLarge(u64),
    /// It was a regular file, and has become something that may block.
    NotRegular,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(words) => f.write_str(words),
            Self::Late(limit) => write!(f, "reading it did not end within {limit:?}"),
            Self::TooLarge(most) => write!(f, "it has more than {most} bytes"),
            Self::NotRegular => f.write_str("it is not a regular file"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

/// Reads a file of any kind, and says whether it is a regular one, which can be read again.
pub(crate) fn once(path: &Path, limit: Duration) -> Result<(Vec<u8>, bool), Failure> {
    let path = path.to_owned();
    within(limit, move || {
        let content = up_to(MAX_BYTES, &path)?;
        Ok((content, fs::metadata(&path)?.is_file()))
    })
}

/// As [`once`], for a task that can be cancelled while it waits.
pub(crate) async fn soon(path: &Path, limit: Duration) -> Content {
    let (sender, receiver) = oneshot::channel();
    let path = path.to_owned();
    thread::Builder::new().name("read".to_owned()).spawn(move || {
        // The receiver is gone after the limit.
        let _ = sender.send(up_to(MAX_BYTES, &path));
    })?;
    match timeout(limit, receiver).await {
        Ok(Ok(content)) => content,
        Ok(Err(_)) | Err(_) => Err(Failure::Late(limit)),
    }
}

/// Runs `read` on a thread of its own, which is left alone if it takes longer than `limit`.
fn within<T: Send + 'static>(
    limit: Duration,
    read: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let (sender, receiver) = sync_mpsc::sync_channel(1);
    thread::Builder::new().name("read".to_owned()).spawn(move || {
        // The receiver is gone after the limit.
        let _ = sender.send(read());
    })?;
    receiver.recv_timeout(limit).unwrap_or(Err(Failure::Late(limit)))
}

/// A regular file that is read again and again.
#[derive(Debug)]
pub(crate) struct Reader {
    ask: sync_mpsc::Sender<()>,
    contents: mpsc::UnboundedReceiver<Content>,
    /// Whether the thread was asked and has not answered yet.
    is_asked: bool,
}

impl Reader {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(crate) fn start(path: PathBuf) -> io::Result<Self> {
        Self::of(move || regular(&path))
    }

    fn of(read: impl Fn() -> Content + Send + 'static) -> io::Result<Self> {
        let (ask, asked) = sync_mpsc::channel();
        let (sender, contents) = mpsc::unbounded_channel();
        thread::Builder::new().name("read".to_owned()).spawn(move || {
            while asked.recv().is_ok() {
                if sender.send(read()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { ask, contents, is_asked: false })
    }

    /// Reads the file. If the thread is still blocked by an earlier read, that read is waited for instead.
    pub(crate) async fn read(&mut self, limit: Duration) -> Content {
        if !self.is_asked {
            // This fails only if the thread is gone; then there is no content below.
            self.is_asked = self.ask.send(()).is_ok();
        }
        match timeout(limit, self.contents.recv()).await {
            Ok(Some(content)) => {
                self.is_asked = false;
                content
            }
            Ok(None) | Err(_) => Err(Failure::Late(limit)),
        }
    }
}

/// The content of a regular file. Opening another kind of file may block, and reading it may take bytes from another
/// reader.
fn regular(path: &Path) -> Content {
    if !fs::metadata(path)?.is_file() {
        return Err(Failure::NotRegular);
    }
    up_to(MAX_BYTES, path)
}

/// The content of a file of any kind, which may be a device without an end, if it has at most so many bytes. It may block.
pub(crate) fn up_to(most: u64, path: &Path) -> Content {
    let mut content = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut content)?;
    if content.len() as u64 > most { Err(Failure::TooLarge(most)) } else { Ok(content) }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_file_that_blocks_is_given_up_and_one_without_an_end_too() {
        let (_open, blocked) = sync_mpsc::channel::<()>();
        let late = within(SHORT, move || {
            let _ = blocked.recv();
            Ok(())
        });
        assert_eq!(late, Err(Failure::Late(SHORT)));
        assert_eq!(once(Path::new("/dev/zero"), LONG), Err(Failure::TooLarge(MAX_BYTES)));
    }

    #[tokio::test]
    async fn a_reader_that_is_blocked_is_asked_again_when_it_is_not() {
        let (open, blocked) = sync_mpsc::channel::<()>();
        let reads = Arc::new(Mutex::new(0_u8));
        let counted = Arc::clone(&reads);
        let mut reader = Reader::of(move || {
            let _ = blocked.recv();
            let mut reads = counted.lock().expect("no holder panics");
            *reads += 1;
            Ok(vec![*reads])
        })
        .expect("a thread can be started");
        for _ in 0..3 {
            assert_eq!(reader.read(SHORT).await, Err(Failure::Late(SHORT)));
        }
        // From here on it blocks no more.
        drop(open);
        assert_eq!(reader.read(LONG).await, Ok(vec![1]), "it was asked once");
        assert_eq!(reader.read(LONG).await, Ok(vec![2]));
    }

    #[tokio::test]
    async fn what_is_not_regular_is_not_opened() {
        let mut reader = Reader::start("/dev/zero".into()).expect("a thread can be started");
        assert_eq!(reader.read(LONG).await, Err(Failure::NotRegular));
        let missing = Reader::start("/nowhere/at/all".into()).expect("a thread can be started").read(LONG).await;
        assert!(matches!(missing, Err(Failure::Io(_))), "{missing:?}");
    }
}
