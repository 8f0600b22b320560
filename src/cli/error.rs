//! The errors of commands on files, which name the flag or the file.

use std::{
    error, io,
    path::{Path, PathBuf},
};

use evenkeel_client as client;
use evenkeel_kernels::{Violation, Violations};
use rustls::InvalidMessage;

use super::{security::Refused, text};
use crate::server;

/// A tensor, by the path of its file and its name there.
pub(super) type Named<'a> = (&'a Path, &'a str);

/// The reason why a command on files failed. No file was written or changed, unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A flag cannot be used, or not with this value.
    #[error("{flag}: {reason}")]
    Usage {
        /// The flag, as it is written: `--axes`.
        flag: String,
        /// What is wrong with its value.
        reason: String,
    },
    /// A file cannot be read, used or written.
    #[error("{}: {reason}", text::path(path))]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor cannot be read out of its file.
    #[error("tensor '{}': {reason}", text::name(name))]
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The norm of the gradients is not finite, and `--error-if-nonfinite` is set.
    #[error("the norm of the gradients is not finite: {total}; the norm of each of these is not: {names}")]
    NotFinite {
        /// The norm of all.
        total: f64,
        /// The names of those whose own norm is not finite.
        names: String,
    },
    /// The connection to a server was made, and the server sent nothing.
    #[error("{url}: cannot connect: the server has said nothing for {waited}")]
    Silent {
        /// The server.
        url: String,
        /// How long it was given.
        waited: humantime::Duration,
    },
    /// The server answered a TLS handshake with something else.
    #[error("{0}: the server speaks plain text there; http:// reaches it")]
    PlainText(client::Error),
    /// There was no `--server`, and a server of the command's own did not start or did not end well.
    #[error("the command's own server: {0}")]
    Server(#[from] server::Error),
    /// The server could not be reached, or did not answer with a result.
    #[error(transparent)]
    Call(client::Error),
    /// A load could not begin; or it has ended, its report is written, and its answers were not right.
    #[error("{0}")]
    Load(String),
    /// The table cannot be written to standard output. The files are written.
    #[error("standard output: {0}")]
    Output(io::Error),
}

impl Error {
    /// Whether the command line is at fault, rather than a file, a server or the machine.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Usage { .. } => true,
            Self::File { .. }
            | Self::Tensor { .. }
            | Self::NotFinite { .. }
            | Self::Silent { .. }
            | Self::PlainText(_)
            | Self::Server(_)
            | Self::Call(_)
            | Self::Load(_)
            | Self::Output(_) => false,
        }
    }

    /// The error of a connection that was not made; `Ok`: a flag of it is wrong.
    pub(super) fn of_connection(error: Result<Refused, client::Error>) -> Self {
        match error {
            Ok(refused) => refused.into(),
            Err(error) if is_plain_text(&error) => Self::PlainText(error),
            Err(error) => Self::Call(error),
        }
    }

    pub(super) fn usage(flag: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Usage { flag: flag.into(), reason: reason.into() }
    }

    pub(super) fn file(path: &Path, reason: impl ToString) -> Self {
        Self::File { path: path.to_owned(), reason: reason.to_string() }
    }

    /// A tensor of this name cannot be read.
    pub(super) fn reading(name: &str, error: io::Error) -> Self {
        Self::Tensor { name: name.to_owned(), reason: format!("cannot read: {error}") }
    }

    /// A call's error, with fields of the request replaced by flags and by tensors. `sent` are those that the call sent.
    pub(super) fn of_call(error: client::Error, sent: &[Named<'_>]) -> Self {
        if let client::Error::NonFiniteNorm { .. } = error {
            return match sent {
                [(first, _), rest @ ..] if rest.iter().all(|(path, _)| path == first) => Self::file(first, error),
                _ => Self::Call(error),
            };
        }
        let client::Error::InvalidArgument { violations, message } = error else { return Self::Call(error) };
        match violations.into_iter().next() {
            Some(client::FieldViolation { field, description }) => Self::of_field(&field, &description, sent),
            None => Self::usage("arguments", message),
        }
    }

    /// As [`of_call`](Self::of_call), for arguments that were checked before they were sent.
    pub(super) fn of_arguments(violations: &Violations, sent: &[Named<'_>]) -> Option<Self> {
        let Violation { field, reason } = violations.iter().next()?;
        Some(Self::of_field(field, reason, sent))
    }

    fn of_field(field: &str, description: &str, sent: &[Named<'_>]) -> Self {
        let (top, rest) = field.split_at(field.find(['.', '[']).unwrap_or(field.len()));
        let index = rest.strip_prefix('[').and_then(|rest| rest.split(']').next()?.parse::<usize>().ok());
        match (top, sent.get(index.unwrap_or(0))) {
            ("input" | "gradients", Some((path, name))) => {
                Self::file(path, format!("tensor '{}': {description}", text::name(name)))
            }
            ("input" | "gradients", None) => Self::usage("INPUT", format!("{field}: {description}")),
            (flag, _) => Self::usage(format!("--{}", flag.replace('_', "-")), description),
        }
    }
}

impl From<Refused> for Error {
    fn from(Refused { flag, reason }: Refused) -> Self {
        Self::Usage { flag, reason }
    }
}

/// Whether the server has answered to TLS with something else.
pub(super) fn is_plain_text(error: &client::Error) -> bool {
    let mut next: Option<&(dyn error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        // The `source` of an `io::Error` is that of the error inside it; `get_ref` is the error inside it.
        let held = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = held.and_then(|held| held.downcast_ref()).or_else(|| cause.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) = tls {
            return true;
        }
        next = cause.source();
    }
    false
}

/// The messages of all sources of an error, or its own message if it has none. A message that only repeats the end of
/// the one before is left out.
pub(super) fn causes(error: &dyn error::Error) -> String {
    let mut next = error.source();
    let mut said: Vec<String> = Vec::new();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !said.last().is_some_and(|last| last.ends_with(&words)) {
            said.push(words);
        }
        next = cause.source();
    }
    if said.is_empty() { error.to_string() } else { said.join(": ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violation(field: &str) -> client::Error {
        let violation = client::FieldViolation { field: field.to_owned(), description: "is wrong".to_owned() };
        client::Error::InvalidArgument { message: "no".to_owned(), violations: vec![violation] }
    }

    #[test]
    fn a_field_is_told_as_a_flag_or_as_a_tensor_of_the_file() {
        for (field, told, usage) in [
            ("eps", "--eps: is wrong", true),
            ("axes[1]", "--axes: is wrong", true),
            ("running_mean.shape", "--running-mean: is wrong", true),
            ("input.shape[2]", "x.npy: tensor 'first': is wrong", false),
            ("gradients[1].shape", "y.npy: tensor 'second': is wrong", false),
            ("gradients[9].shape", "INPUT: gradients[9].shape: is wrong", true),
        ] {
            let sent = [(Path::new("x.npy"), "first"), (Path::new("y.npy"), "second")];
            let error = Error::of_call(violation(field), &sent);
            assert_eq!((error.to_string().as_str(), error.is_usage()), (told, usage));
        }
        let error = client::Error::InvalidArgument { message: "no".to_owned(), violations: Vec::new() };
        assert_eq!(Error::of_call(error, &[]).to_string(), "arguments: no");
    }
}
