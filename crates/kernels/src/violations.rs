//! The violations in the arguments of an operation: all that can be found, not only the first.

use std::{borrow::Cow, fmt};

/// An argument that does not fit the operation or the other arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The argument, by its name in the wire contract, with an index where it has one: `axes[1]`, `weight.shape`.
    pub field: Cow<'static, str>,
    /// The fault, with the expected and the given value; never tensor data.
    pub reason: Cow<'static, str>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, reason } = self;
        write!(f, "{field}: {reason}")
    }
}

/// Violations, in the order in which they were found. Without any it holds no memory.
///
/// Only the first [`MOST`](Self::MOST) are kept; the others are counted, so that a request with very many invalid
/// tensors does not get a very long error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations {
    kept: Vec<Violation>,
    left_out: usize,
}

impl Violations {
    /// The most violations that are kept.
    pub const MOST: usize = 64;

    /// No violations.
    pub const fn new() -> Self {
        Self { kept: Vec::new(), left_out: 0 }
    }

    /// One violation.
    pub fn of(field: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Self {
        let mut violations = Self::new();
        violations.add(field, reason);
        violations
    }

    /// Adds a violation.
    pub fn add(&mut self, field: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) {
        self.add_with(|| (field, reason));
    }

    /// As [`add`](Self::add), for violations of which a request may have any number: the strings are made only if they
    /// are kept.
    pub fn add_with<F, R>(&mut self, make: impl FnOnce() -> (F, R))
    where
        F: Into<Cow<'static, str>>,
        R: Into<Cow<'static, str>>,
    {
        if self.kept.len() < Self::MOST {
            let (field, reason) = make();
            self.kept.push(Violation { field: field.into(), reason: reason.into() });
        } else {
            self.left_out += 1;
        }
    }

    /// Adds those of `others`.
    pub fn append(&mut self, others: Self) {
        let Self { kept, left_out } = others;
        kept.into_iter().for_each(|Violation { field, reason }| self.add(field, reason));
        self.left_out += left_out;
    }

    /// The same of arguments that are within another, whose name they get before their own.
    #[must_use]
    pub fn within(mut self, outer: &str) -> Self {
        for Violation { field, .. } in &mut self.kept {
            *field = format!("{outer}.{field}").into();
        }
        self
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The violations that are kept.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Violation> {
        self.kept.iter()
    }

    /// The number of violations that were not kept.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// `Ok` if there are none.
    ///
    /// # Errors
    /// The violations, if there are any.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.kept.iter().enumerate() {
            let before = if index == 0 { "" } else { "; " };
            write!(f, "{before}{violation}")?;
        }
        if self.left_out > 0 {
            write!(f, "; and {} more", self.left_out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_kept_and_the_others_counted() {
        let mut violations = Violations::new();
        assert_eq!(violations.clone().into_result(), Ok(()));
        (0..Violations::MOST + 3).for_each(|index| violations.add(format!("gradients[{index}].data"), "is short"));
        assert_eq!((violations.iter().len(), violations.left_out()), (Violations::MOST, 3));
        assert!(violations.to_string().starts_with("gradients[0].data: is short; gradients[1].data: is short; "));
        assert!(violations.to_string().ends_with("gradients[63].data: is short; and 3 more"));
    }

    #[test]
    fn arguments_within_another_are_named_by_both() {
        let violations = Violations::of("input.shape[1]", "is negative").within("header");
        assert_eq!(violations.to_string(), "header.input.shape[1]: is negative");
    }

    #[test]
    fn others_come_after_those_that_are_there() {
        let mut violations = Violations::of("p", "is wrong");
        let mut others = Violations::of("p", "is odd");
        (0..Violations::MOST).for_each(|_| others.add("eps", "is negative"));
        violations.append(others);
        assert_eq!((violations.iter().len(), violations.left_out()), (Violations::MOST, 2));
        assert!(violations.to_string().starts_with("p: is wrong; p: is odd; eps: is negative"));
    }
}
