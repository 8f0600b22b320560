//! The tensors of an argument of the command line, before it is known where their results go.

use super::{Contents, Format, Shards};

/// The tensors that a path leads to, by the headers of its files.
#[derive(Debug)]
pub(in crate::cli) enum Input {
    /// Tensors that belong in one file of results, and the format of the file that was named.
    One(Contents, Format),
    /// The shards of an index.
    Shards(Shards),
}

impl Input {
    pub(in crate::cli) fn format(&self) -> Format {
        match self {
            Self::One(_, format) => *format,
            Self::Shards(_) => Format::Index,
        }
    }

    /// All tensors together.
    pub(in crate::cli) fn joined(self) -> Self {
        let format = self.format();
        Self::One(self.into_contents(), format)
    }

    /// As [`joined`](Self::joined), without the format.
    pub(in crate::cli) fn into_contents(self) -> Contents {
        match self {
            Self::One(contents, _) => contents,
            Self::Shards(shards) => shards.into_contents(),
        }
    }

    pub(super) fn contents(&self) -> Vec<&Contents> {
        match self {
            Self::One(contents, _) => vec![contents],
            Self::Shards(shards) => shards.files.iter().map(|(_, contents)| contents).collect(),
        }
    }

    pub(super) fn contents_mut(&mut self) -> Vec<&mut Contents> {
        match self {
            Self::One(contents, _) => vec![contents],
            Self::Shards(shards) => shards.files.iter_mut().map(|(_, contents)| contents).collect(),
        }
    }

    /// Leaves out shards without tensors; returns whether there is a tensor.
    pub(super) fn retain(&mut self) -> bool {
        match self {
            Self::One(contents, _) => !contents.tensors.is_empty(),
            Self::Shards(shards) => {
                shards.files.retain(|(_, contents)| !contents.tensors.is_empty());
                !shards.files.is_empty()
            }
        }
    }
}
