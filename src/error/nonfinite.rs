//! A norm that is NaN or infinite, and the gradients that cause it.

use std::{collections::HashMap, fmt};

use evenkeel_kernels::NonFinite;

use super::words;

/// The details for a client that asks for an error in this case (`error_if_nonfinite`).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NonFiniteNorm {
    total_norm: f64,
    elements: NonFinite,
    /// The names of the gradients in `elements.first`, in that order; empty for a gradient without a name.
    names: Vec<String>,
}

/// The most bytes of a gradient's name in the error.
const MAX_NAME: usize = 64;

impl NonFiniteNorm {
    /// `name` returns the name of the gradient with an index.
    pub(crate) fn new<'a>(total_norm: f64, elements: NonFinite, name: impl Fn(usize) -> &'a str) -> Self {
        let names = elements.first.iter().map(|&index| words::shorten(name(index), MAX_NAME)).collect();
        Self { total_norm, elements, names }
    }

    /// The metadata of the ErrorInfo: `gradient_3` has the name of gradient 3.
    pub(super) fn metadata(&self) -> HashMap<String, String> {
        let Self { total_norm, elements: NonFinite { nan, infinite, gradients, first }, names } = self;
        let numbers = [
            ("total_norm", total_norm.to_string()),
            ("nan_elements", nan.to_string()),
            ("infinite_elements", infinite.to_string()),
            ("nonfinite_gradients", gradients.to_string()),
        ];
        let numbers = numbers.into_iter().map(|(key, value)| (key.to_owned(), value));
        let named = first.iter().zip(names).map(|(index, name)| (format!("gradient_{index}"), name.clone()));
        numbers.chain(named).collect()
    }

    /// The message, with the names of as many gradients as fit.
    pub(super) fn message(&self) -> String {
        let Self { total_norm, elements: NonFinite { nan, infinite, gradients, first }, names } = self;
        let before = format!(
            "the norm of the gradients is not finite: {total_norm}; {nan} NaN and {infinite} infinite elements"
        );
        if *gradients == 0 {
            return before;
        }
        let names: Vec<String> = first
            .iter()
            .zip(names)
            .map(|(index, name)| match name.as_str() {
                "" => format!("gradients[{index}]"),
                name => format!("gradients[{index}] {:?}", name),
            })
            .collect();
        let metadata: usize = self.metadata().iter().map(|(key, value)| key.len() + value.len() + ENTRY).sum();
        words::with_names(&format!("{before} in "), names.iter().map(String::as_str), *gradients, metadata)
    }
}

/// The bytes of framing around an entry of metadata.
const ENTRY: usize = 10;

impl fmt::Display for NonFiniteNorm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}
