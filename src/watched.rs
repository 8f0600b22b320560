//! Files that are read again when they change.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::task::JoinSet;

use crate::{
    metrics::{Files, Metrics},
    read::{self, Content, READ_TIMEOUT, Reader},
    setting::{Error, File},
};

/// How often the files are read. They are small, and their content is compared instead of their times, since Kubernetes
/// changes them by changing a link to a folder.
const PERIOD: Duration = Duration::from_secs(1);

/// A function that makes a value from the contents of the files, in the files' order.
type Parse<T> = fn(&[File], &[Vec<u8>]) -> Result<T, Error>;

/// A value that is made from files, and again when they change.
#[derive(Debug)]
pub(crate) struct Reloaded<T>(Arc<RwLock<Arc<T>>>);

impl<T> Clone for Reloaded<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Reloaded<T> {
    /// Reads the files; the second value keeps the first up to date.
    ///
    /// # Errors
    /// A file that cannot be read, or used.
    pub(crate) fn load(files: Vec<File>, parse: Parse<T>) -> Result<(Self, Reload<T>), Error> {
        let mut contents = Vec::new();
        let mut watched = Some(Vec::new());
        for file in &files {
            let (content, is_regular) = read::once(&file.path, READ_TIMEOUT).map_err(|failure| file.error(failure))?;
            contents.push(content);
            if !is_regular {
                tracing::info!(
                    setting = file.key,
                    path = %file.path.display(),
                    "the file is not a regular one and is not read again"
                );
                watched = None;
            } else if let Some(readers) = &mut watched {
                readers.push(Reader::start(file.path.clone()).map_err(|error| file.error(error))?);
            }
        }
        let value = Self(Arc::new(RwLock::new(Arc::new(parse(&files, &contents)?))));
        let seen = contents.into_iter().map(Ok).collect();
        let readers = watched.unwrap_or_default();
        Ok((value.clone(), Reload { value, files, readers, parse, seen }))
    }

    /// The value as it is now.
    pub(crate) fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The tasks that read files again, until this is dropped.
#[derive(Debug)]
pub(crate) struct Reloads {
    tasks: JoinSet<()>,
    metrics: Arc<Metrics>,
}

impl Reloads {
    /// `metrics` is told of each change whether the files can be used.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { tasks: JoinSet::new(), metrics }
    }

    /// Starts the task of `reload`. Must be called on the runtime.
    pub(crate) fn watch<T: Send + Sync + 'static>(&mut self, reload: Reload<T>, files: Files) {
        self.tasks.spawn(reload.run(Arc::clone(&self.metrics), files));
    }
}

/// Reads the files again. There is no `Debug`, since their content may be secret.
pub(crate) struct Reload<T> {
    value: Reloaded<T>,
    files: Vec<File>,
    parse: Parse<T>,
    /// One for each file; none if one of them cannot be read again.
    readers: Vec<Reader>,
    /// What the files contained, or why they could not be read, when they were looked at last.
    seen: Vec<Content>,
}

impl<T> Reload<T> {
    /// Looks for changes until the future is dropped, and tells `metrics` whether the last one could be used.
    async fn run(mut self, metrics: Arc<Metrics>, files: Files) {
        while !self.readers.is_empty() {
            tokio::time::sleep(PERIOD).await;
            if let Some(used) = self.look(READ_TIMEOUT).await {
                metrics.changed(files, used);
            }
        }
    }

    /// Whether a change of the files is used; `None` if there is none. Files that cannot be used change nothing, which
    /// is logged once.
    async fn look(&mut self, limit: Duration) -> Option<bool> {
        let mut now = Vec::with_capacity(self.readers.len());
        for reader in &mut self.readers {
            now.push(reader.read(limit).await);
        }
        if now == self.seen {
            return None;
        }
        self.seen = now;
        let contents = self
            .files
            .iter()
            .zip(&self.seen)
            .map(|(file, content)| content.clone().map_err(|failure| file.error(failure)));
        let value = contents.collect::<Result<Vec<_>, _>>().and_then(|contents| (self.parse)(&self.files, &contents));
        Some(match value {
            Ok(value) => {
                *self.value.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
                tracing::info!(setting = self.files[0].key, "files have changed and are used");
                true
            }
            Err(error) => {
                tracing::error!(%error, "files have changed and cannot be used; the old ones stay in use");
                false
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn what_changes_is_used_and_what_cannot_be_is_not() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("number");
        let file = || vec![File { key: "number", path: path.clone() }];
        let parse: Parse<u32> = |files, contents| {
            let text = String::from_utf8_lossy(&contents[0]);
            text.parse().map_err(|error| files[0].error(error))
        };
        let missing = Reloaded::load(file(), parse).err().expect("there is none").to_string();
        assert!(missing.contains("--number") && missing.contains(&path.display().to_string()), "{missing}");
        fs::write(&path, "1").expect("it can be written");
        let (number, mut reload) = Reloaded::load(file(), parse).expect("it is a number");
        assert_eq!(*number.get(), 1);
        for (content, expected) in [("2", 2), ("none", 2), ("3", 3)] {
            fs::write(&path, content).expect("it can be written");
            assert_eq!(reload.look(READ_TIMEOUT).await, Some(content != "none"), "{content}");
            assert_eq!(reload.look(READ_TIMEOUT).await, None, "{content}");
            assert_eq!(*number.get(), expected, "{content}");
        }
        fs::remove_file(&path).expect("it is there");
        assert_eq!(reload.look(READ_TIMEOUT).await, Some(false));
        assert_eq!(*number.get(), 3);
    }
}
