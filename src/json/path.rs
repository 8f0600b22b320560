//! The place in a request that is being read, for the errors of it.

use std::fmt;

use prost_reflect::FieldDescriptor;

/// A step into a message.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Field(FieldDescriptor),
    Index(usize),
}

/// The steps from the request to a value in it. Its text is that of the field violations that other checks find:
/// `input.shape[2]`.
#[derive(Clone, Debug, Default)]
pub(super) struct Path(Vec<Step>);

impl Path {
    pub(super) fn push(&mut self, step: Step) {
        self.0.push(step);
    }

    pub(super) fn pop(&mut self) {
        self.0.pop();
    }

    /// Goes to the next element of the list that the last step is in.
    pub(super) fn advance(&mut self) {
        if let Some(Step::Index(index)) = self.0.last_mut() {
            *index += 1;
        }
    }

    /// The path of a field of this name in the message that was reached.
    pub(super) fn to(&self, name: &str) -> String {
        if self.0.is_empty() { name.to_owned() } else { format!("{self}.{name}") }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(field) if at == 0 => f.write_str(field.name())?,
                Step::Field(field) => write!(f, ".{}", field.name())?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
