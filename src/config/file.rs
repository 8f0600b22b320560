//! The configuration file: TOML, whose keys are the long names of the flags of `evenkeel serve`.

use std::{
    path::{Path, PathBuf},
    slice,
};

use clap::{Arg, ArgAction};
use toml::{Table, Value};

use crate::{
    read::{self, READ_TIMEOUT},
    shorten,
};

/// The reason why a configuration file cannot be used. Every message names the file, and the key if one is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read the configuration file {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It is not TOML.
    #[error("{}: {}", path.display(), .reason.lines().map(brief).collect::<Vec<_>>().join("\n"))]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong there.
        reason: String,
    },
    /// No flag has this name.
    #[error("{}: unknown key '{}'; keys are the flags of `evenkeel serve`, such as {known}", path.display(), brief(key))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// A key that there is.
        known: String,
    },
    /// The flag does not take this value.
    #[error("{}: invalid value for '{key}': {}", path.display(), brief(reason))]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What is wrong with the value.
        reason: String,
    },
}

/// A line of an error that repeats words of the file: escaped, and without its middle if it is too long to
/// be read.
fn brief(line: &str) -> String {
    const HALF: usize = 200;
    let line = shorten::ends(line, HALF).map_or(line.to_owned(), |(beginning, end)| format!("{beginning}…{end}"));
    line.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    table: Table,
}

impl File {
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let refused = |reason: String| Error::Read { path: path.to_owned(), reason };
        let (content, _) = read::once(path, READ_TIMEOUT).map_err(|failure| refused(failure.to_string()))?;
        let text = String::from_utf8(content).map_err(|_| refused("it is not UTF-8".to_owned()))?;
        let text = text.trim_start_matches('\u{feff}');
        let table = text.parse().map_err(|error: toml::de::Error| Error::Syntax {
            path: path.to_owned(),
            reason: error.to_string().trim_end().to_owned(),
        })?;
        Ok(Self { path: path.to_owned(), table })
    }

    /// The keys that the file sets.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.table.keys().map(String::as_str)
    }

    /// The value of a key as the command line would have it: none for a switch that is off, several for a list.
    pub(super) fn flags(&self, key: &str, flag: &Arg) -> Result<Vec<String>, Error> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        if matches!(flag.get_action(), ArgAction::SetTrue) {
            return match value {
                Value::Boolean(true) => Ok(vec![format!("--{key}")]),
                Value::Boolean(false) => Ok(Vec::new()),
                Value::String(_)
                | Value::Integer(_)
                | Value::Float(_)
                | Value::Datetime(_)
                | Value::Array(_)
                | Value::Table(_) => Err(self.refuse(key, "expected true or false")),
            };
        }
        let list = value.as_array().filter(|_| matches!(flag.get_action(), ArgAction::Append));
        let values = list.map_or(slice::from_ref(value), Vec::as_slice);
        values.iter().map(|value| Ok(format!("--{key}={}", self.text(key, value)?))).collect()
    }

    /// The text of a key that is one; `None`: the file does not set it.
    pub(super) fn string(&self, key: &str) -> Result<Option<String>, Error> {
        self.table.get(key).map(|value| self.text(key, value)).transpose()
    }

    fn text(&self, key: &str, value: &Value) -> Result<String, Error> {
        match value {
            Value::String(text) => Ok(text.clone()),
            Value::Integer(number) => Ok(number.to_string()),
            Value::Float(number) => Ok(number.to_string()),
            Value::Boolean(whether) => Ok(whether.to_string()),
            Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
                Err(self.refuse(key, format!("expected a string or a number, not {}", value.type_str())))
            }
        }
    }

    /// The error of a value.
    pub(super) fn refuse(&self, key: &str, reason: impl Into<String>) -> Error {
        Error::Value { path: self.path.clone(), key: key.to_owned(), reason: reason.into() }
    }

    /// The error of a key.
    pub(super) fn unknown(&self, key: &str, known: &str) -> Error {
        Error::UnknownKey { path: self.path.clone(), key: key.to_owned(), known: known.to_owned() }
    }
}
