//! The error of a setting, and the files that settings name.

use std::{fmt, path::PathBuf};

/// A setting whose value cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid value for {}: {reason}", setting(.key))]
pub struct Error {
    /// The setting, by its flag without the dashes: `max-message-bytes`; or by the name of a variable that has no flag:
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub key: &'static str,
    /// What is wrong with the value.
    pub reason: String,
}

/// A setting as an error names it.
fn setting(key: &str) -> String {
    let has_no_flag = key.starts_with(|first: char| first.is_ascii_uppercase());
    if has_no_flag { key.to_owned() } else { format!("'--{key}' ({})", variable(key)) }
}

/// The environment variable of a flag.
fn variable(key: &str) -> String {
    format!("EVENKEEL_{}", key.replace('-', "_").to_uppercase())
}

/// A file that a setting names.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// The setting.
    pub(crate) key: &'static str,
    pub(crate) path: PathBuf,
}

impl File {
    /// An error in the file's content.
    pub(crate) fn error(&self, reason: impl fmt::Display) -> Error {
        Error { key: self.key, reason: format!("{}: {reason}", self.path.display()) }
    }
}
