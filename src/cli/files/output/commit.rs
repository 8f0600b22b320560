//! Several files are put in their places together, or none is.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use tempfile::TempPath;

use super::{Output, Place, cannot_write};
use crate::{
    cli::{error::Error, interrupt::Stage, tasks::blocking},
    streams::Blocking,
};

/// A file that was put in its place, and how to undo that.
struct Placed {
    real: PathBuf,
    /// The file that was there before, under another name.
    before: Option<TempPath>,
}

/// Puts all files in their places; at every moment a name leads to the old file or to the whole new one. Streams, which cannot be
/// taken back, are written before any file changes; until then nothing is lost if the future is dropped. `stage` gets
/// the progress.
pub(in crate::cli) async fn commit(outputs: Vec<Output>, stage: &Stage) -> Result<(), Error> {
    let mut files = Vec::new();
    let mut streams = Vec::new();
    for Output { path, file, place } in outputs {
        match place {
            Place::Stream(stream) => streams.push((path, file, stream)),
            Place::Beside { temporary, real, overwrite } => files.push((path, temporary, real, overwrite)),
        }
    }
    for (path, file, stream) in streams {
        let stage = stage.clone();
        blocking(move || copy(&file, stream, &stage).map_err(|error| cannot_write(&path, error))).await?;
    }
    if !files.is_empty() {
        stage.places().await;
    }
    place(files)?;
    stage.is_done();
    Ok(())
}

/// Gives new files their names, all or none.
fn place(files: Vec<(PathBuf, TempPath, PathBuf, bool)>) -> Result<(), Error> {
    let mut placed: Vec<Placed> = Vec::new();
    for (path, temporary, real, overwrite) in files {
        match put(temporary, real, overwrite) {
            Ok(done) => placed.push(done),
            Err(error) => {
                let undone: Result<(), io::Error> = placed.into_iter().rev().try_for_each(Placed::undo);
                return Err(match undone {
                    Ok(()) => cannot_write(&path, error),
                    Err(worse) => {
                        Error::file(&path, format!("cannot write: {error}; nor take the others back: {worse}"))
                    }
                });
            }
        }
    }
    Ok(())
}

fn put(temporary: TempPath, real: PathBuf, overwrite: bool) -> io::Result<Placed> {
    if !overwrite {
        temporary.persist_noclobber(&real)?;
        return Ok(Placed { real, before: None });
    }
    let before = keep(&real)?;
    temporary.persist(&real)?;
    Ok(Placed { real, before })
}

/// A second name (a hard link) of the file that is there, which is removed when the returned value is dropped. `None`:
/// there is no file, or the file system has no hard links.
fn keep(real: &Path) -> io::Result<Option<TempPath>> {
    let folder = real.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let linked = tempfile::Builder::new().prefix(".evenkeel-").make_in(folder, |name| fs::hard_link(real, name));
    match linked {
        Ok(linked) => Ok(Some(linked.into_temp_path())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // Without a second name, only the old file cannot be restored after a later error.
        Err(error) if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Placed {
    fn undo(self) -> io::Result<()> {
        match self.before {
            Some(before) => Ok(before.persist(&self.real)?),
            None => fs::remove_file(&self.real),
        }
    }
}

/// Copies a file to a stream. A reader that has closed its end is no error.
fn copy(mut file: &File, stream: File, stage: &Stage) -> io::Result<()> {
    file.rewind()?;
    match copy_all(file, Blocking(stream), stage) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn copy_all(mut file: &File, mut to: Blocking<File>, stage: &Stage) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                // A write that blocks may have delivered a part already.
                stage.delivers()?;
                to.write_all(&buffer[..read])?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::MetadataExt as _,
        task::{Context, Waker},
    };

    use tempfile::TempDir;

    use super::{
        super::{super::Format, Target},
        *,
    };

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    fn output(path: &Path, content: &[u8]) -> Result<Output, Error> {
        let output = Target::named("--output", path, Format::Npy)?.open(content.len() as u64)?;
        output.writer().write(0, content)?;
        Ok(output)
    }

    fn names(folder: &TempDir) -> io::Result<Vec<String>> {
        let mut names = fs::read_dir(folder)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    /// The last of three cannot be put in its place, since a folder has come there meanwhile.
    #[tokio::test]
    async fn an_error_at_the_end_takes_everything_back() -> Outcome {
        let folder = TempDir::new()?;
        let at = |name: &str| folder.path().join(name);
        fs::write(at("old.npy"), b"before")?;
        let before = fs::metadata(at("old.npy"))?.ino();
        let outputs =
            vec![output(&at("old.npy"), b"new")?, output(&at("new.npy"), b"new")?, output(&at("last.npy"), b"new")?];
        fs::create_dir(at("last.npy"))?;
        let error = commit(outputs, &Stage::default()).await.expect_err("a folder is in the way");
        assert!(error.to_string().contains("last.npy: cannot write"), "{error}");
        assert_eq!(names(&folder)?, ["last.npy", "old.npy"]);
        assert_eq!(fs::read(at("old.npy"))?, b"before");
        assert_eq!(fs::metadata(at("old.npy"))?.ino(), before);

        fs::remove_dir(at("last.npy"))?;
        let outputs = vec![output(&at("old.npy"), b"new")?, output(&at("last.npy"), b"newer")?];
        commit(outputs, &Stage::default()).await?;
        assert_eq!(names(&folder)?, ["last.npy", "old.npy"]);
        assert_eq!([fs::read(at("old.npy"))?, fs::read(at("last.npy"))?], [&b"new"[..], b"newer"]);
        Ok(())
    }

    /// The message of an interrupted command stays true until the process has ended.
    #[tokio::test]
    async fn nothing_is_written_after_an_interrupt() -> Outcome {
        let folder = TempDir::new()?;
        let stage = Stage::default();
        assert_eq!(stage.interrupt(), "nothing was written");
        let mut committed = Box::pin(commit(vec![output(&folder.path().join("x.npy"), b"new")?], &stage));
        assert!(committed.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(committed);
        assert_eq!(names(&folder)?, [""; 0]);
        stage.delivers().expect_err("a stream gets nothing, either");
        Ok(())
    }

    #[test]
    fn what_is_dropped_leaves_nothing() -> Outcome {
        let folder = TempDir::new()?;
        drop(output(&folder.path().join("x.npy"), b"new")?);
        assert_eq!(names(&folder)?, [""; 0]);
        Ok(())
    }
}
