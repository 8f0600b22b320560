//! Which tensors of a file are taken: `--tensor` and `--exclude`, by name or by glob.

use globset::{GlobBuilder, GlobMatcher};

use super::{Contents, Stored};
use crate::cli::{error::Error, text};

/// A name, or a pattern that names match: `*`, `?`, `[ab]`, `{a,b}`; `*` matches dots and slashes, too.
#[derive(Clone, Debug)]
struct Pattern {
    text: String,
    glob: GlobMatcher,
}

impl Pattern {
    fn new(flag: &str, text: &str) -> Result<Self, Error> {
        let glob = GlobBuilder::new(text).literal_separator(false).backslash_escape(true).build();
        let glob = glob.map_err(|error| Error::usage(flag, error.to_string()))?;
        Ok(Self { text: text.to_owned(), glob: glob.compile_matcher() })
    }

    /// A name that equals the text of the pattern matches as well, since names may have brackets.
    fn matches(&self, name: &str) -> bool {
        self.text == name || self.glob.is_match(name)
    }

    /// Whether it can name only one tensor.
    fn is_name(&self) -> bool {
        !self.text.contains(['*', '?', '[', '{'])
    }
}

/// The tensors that the flags leave, those of `--tensor` in the order of the flags.
pub(in crate::cli) struct Selection<'a> {
    pub(in crate::cli) tensor: &'a [String],
    pub(in crate::cli) exclude: &'a [String],
}

impl Selection<'_> {
    /// Takes the tensors out of what was read.
    pub(super) fn take(&self, contents: Contents) -> Result<Contents, Failure> {
        let patterns = |flag, texts: &[String]| -> Result<Vec<Pattern>, Failure> {
            texts.iter().map(|text| Pattern::new(flag, text).map_err(Failure::Usage)).collect()
        };
        let (only, exclude) = (patterns("--tensor", self.tensor)?, patterns("--exclude", self.exclude)?);
        let Contents { tensors, metadata, read } = contents;
        for (flag, pattern) in only.iter().map(|it| ("--tensor", it)).chain(exclude.iter().map(|it| ("--exclude", it)))
        {
            if !tensors.iter().any(|Stored { name, .. }| pattern.matches(name)) {
                let what = if pattern.is_name() { "there is no tensor" } else { "no tensor matches" };
                let there = text::list(tensors.iter().map(|tensor| &*tensor.name));
                return Err(Failure::File(format!("{what} '{}' ({flag}), only {there}", text::name(&pattern.text))));
            }
        }
        let place = |name: &str| {
            if only.is_empty() { Some(0) } else { only.iter().position(|pattern| pattern.matches(name)) }
        };
        let is_excluded = |name: &str| exclude.iter().any(|pattern| pattern.matches(name));
        let mut taken: Vec<(usize, Stored)> = tensors
            .into_iter()
            .filter(|tensor| !is_excluded(&tensor.name))
            .filter_map(|tensor| Some((place(&tensor.name)?, tensor)))
            .collect();
        // The sort is stable: tensors that match the same pattern stay in the file's order.
        taken.sort_by_key(|(place, _)| *place);
        if taken.is_empty() && !exclude.is_empty() {
            let of = if only.is_empty() { "" } else { " of --tensor" };
            let reason = format!("there is nothing to compute: it leaves no tensor{of}");
            return Err(Failure::Usage(Error::usage("--exclude", reason)));
        }
        Ok(Contents { tensors: taken.into_iter().map(|(_, tensor)| tensor).collect(), metadata, read })
    }
}

/// The reason why nothing can be taken.
pub(super) enum Failure {
    /// A flag is wrong, whatever the file.
    Usage(Error),
    /// The file has no such tensor.
    File(String),
}
