//! Which tensors of a file are taken: `--tensor` and `--exclude`, by name or by glob.

use std::path::PathBuf;

use globset::{GlobBuilder, GlobMatcher};

use super::{Input, Stored};
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
    /// Whether it takes everything.
    pub(in crate::cli) fn is_all(&self) -> bool {
        self.tensor.is_empty() && self.exclude.is_empty()
    }

    /// The flag and the patterns of each kind that was given.
    pub(in crate::cli) fn flag(&self) -> Option<&'static str> {
        [("--tensor", self.tensor), ("--exclude", self.exclude)]
            .into_iter()
            .find_map(|(flag, patterns)| (!patterns.is_empty()).then_some(flag))
    }

    /// Takes the tensors out of what was read, and leaves out files of which none is taken.
    ///
    /// # Errors
    /// A pattern is wrong, or matches no tensor; or no tensor is left.
    pub(in crate::cli) fn take(&self, files: &mut Vec<(PathBuf, Input)>) -> Result<(), Error> {
        if self.is_all() {
            return Ok(());
        }
        let patterns = |flag, texts: &[String]| -> Result<Vec<Pattern>, Error> {
            texts.iter().map(|text| Pattern::new(flag, text)).collect()
        };
        let (only, exclude) = (patterns("--tensor", self.tensor)?, patterns("--exclude", self.exclude)?);
        for (flag, pattern) in only.iter().map(|it| ("--tensor", it)).chain(exclude.iter().map(|it| ("--exclude", it)))
        {
            let tensors =
                || files.iter().flat_map(|(_, input)| input.contents()).flat_map(|contents| &contents.tensors);
            let names = || tensors().map(|tensor| &*tensor.name);
            if !names().any(|name| pattern.matches(name)) {
                let what = if pattern.is_name() { "there is no tensor" } else { "no tensor matches" };
                let (pattern, there) = (text::name(&pattern.text), text::list(names()));
                return Err(match &files[..] {
                    [(path, _)] => Error::file(path, format!("{what} '{pattern}' ({flag}), only {there}")),
                    _ => Error::usage(flag, format!("{what} '{pattern}' in any INPUT, only {there}")),
                });
            }
        }
        let place = |name: &str| {
            if only.is_empty() { Some(0) } else { only.iter().position(|pattern| pattern.matches(name)) }
        };
        let is_excluded = |name: &str| exclude.iter().any(|pattern| pattern.matches(name));
        for contents in files.iter_mut().flat_map(|(_, input)| input.contents_mut()) {
            let mut taken: Vec<(usize, Stored)> = std::mem::take(&mut contents.tensors)
                .into_iter()
                .filter(|tensor| !is_excluded(&tensor.name))
                .filter_map(|tensor| Some((place(&tensor.name)?, tensor)))
                .collect();
            // The sort is stable: tensors that match the same pattern stay in the file's order.
            taken.sort_by_key(|(place, _)| *place);
            contents.tensors = taken.into_iter().map(|(_, tensor)| tensor).collect();
        }
        files.retain_mut(|(_, input)| input.retain());
        if files.is_empty() {
            let of = if only.is_empty() { "" } else { " of --tensor" };
            let reason = format!("there is nothing to compute: it leaves no tensor{of}");
            return Err(Error::usage("--exclude", reason));
        }
        Ok(())
    }
}
