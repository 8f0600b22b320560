//! The messages and details of statuses with lists, within the space that a status has.
//!
//! Clients drop the connection over response headers of more than 4 to 16 KiB. The message grows threefold where it is
//! percent-encoded; the details, which hold the message again, by a third in base64.

use std::fmt::Write as _;

use evenkeel_kernels::{Violation, Violations};
use tonic_types::{ErrorDetails, FieldViolation};

/// The most bytes of a field's path, and of the reason, in a status.
const MAX_FIELD: usize = 128;
pub(super) const MAX_REASON: usize = 512;

/// The most bytes of a status on the wire, less its other headers and the framing of the details.
const ROOM: usize = 4096 - 320;

/// The bytes of framing around a violation in the details, its field and its description.
const FRAME: usize = 10;

/// The message has at least this many violations, if they fit.
const FEW: usize = 4;

/// The most bytes of the text that counts the violations left out.
const ROOM_FOR_MORE: usize = 128;

/// The message and the details for violations: as many as fit, and the number of those left out.
pub(super) fn of_violations(violations: &Violations) -> (String, ErrorDetails) {
    let shortened: Vec<Violation> = violations
        .iter()
        .map(|Violation { field, reason }| Violation {
            field: shorten(field, MAX_FIELD).into(),
            reason: shorten(reason, MAX_REASON).into(),
        })
        .collect();
    let mut room = Room(ROOM - ROOM_FOR_MORE);
    let mut list = List::new("", violations.iter().len() + violations.left_out());
    let mut listed = Vec::new();
    // The first few are in the message, too; after these the details have precedence, since programs read them.
    let mut are_in_words = true;
    for (index, violation) in shortened.iter().enumerate() {
        let Violation { field, reason } = violation;
        let (words, size) = (violation.to_string(), in_details(field.len() + reason.len() + FRAME));
        if index == 0 {
            // Shortened as it is, it always fits.
            room = Room(room.0.saturating_sub(size + in_message(&words)));
            list.push(&words);
        } else if room.take(size) {
            are_in_words = are_in_words && index < FEW && list.add(&words, &mut room);
        } else {
            break;
        }
        listed.push(FieldViolation::new(&**field, &**reason));
    }
    let told = list.named;
    list.add_all(shortened[told..].iter().map(ToString::to_string), &mut room);
    (list.finish(), ErrorDetails::with_bad_request(listed))
}

/// The violations for the log: the first few.
pub(super) fn in_brief(violations: &Violations) -> String {
    let mut list = List::new("", violations.iter().len() + violations.left_out());
    for Violation { field, reason } in violations.iter().take(FEW) {
        list.push(&format!("{}: {}", shorten(field, MAX_FIELD), shorten(reason, MAX_REASON)));
    }
    list.finish()
}

/// A text that ends in a list: the names of as many of `all` things as fit.
pub(super) fn with_names<'a>(before: &str, names: impl Iterator<Item = &'a str>, all: usize, taken: usize) -> String {
    let mut room = Room(ROOM - ROOM_FOR_MORE);
    let mut list = List::new(before, all);
    if room.take(in_message(before) + in_details(taken)) {
        list.add_all(names, &mut room);
    }
    list.finish()
}

/// At most `limit` bytes of `text`, with a mark where something is missing.
pub(super) fn shorten(text: &str, limit: usize) -> String {
    const MARK: &str = "...";
    if text.len() <= limit {
        return text.to_owned();
    }
    let kept = (0..=limit - MARK.len()).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    format!("{}{MARK}", &text[..kept])
}

/// The bytes on the wire that are still free.
struct Room(usize);

impl Room {
    /// Takes so many bytes; takes none and returns false if fewer are free.
    fn take(&mut self, bytes: usize) -> bool {
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

/// The bytes on the wire of a text in the message, and again in the details.
fn in_message(words: &str) -> usize {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:;,[]()/'=+*!".contains(&byte);
    let encoded: usize = words.bytes().map(|byte| if is_plain(byte) { 1 } else { 3 }).sum();
    encoded + in_details(words.len())
}

/// The bytes on the wire of so many bytes of the details.
fn in_details(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

/// A text that lists some of many things.
struct List {
    words: String,
    named: usize,
    all: usize,
}

impl List {
    const SEPARATOR: &str = "; ";

    fn new(before: &str, all: usize) -> Self {
        Self { words: before.to_owned(), named: 0, all }
    }

    /// Adds a text, if it fits.
    fn add(&mut self, words: &str, room: &mut Room) -> bool {
        let fits = room.take(in_message(words) + in_message(Self::SEPARATOR));
        if fits {
            self.push(words);
        }
        fits
    }

    /// Adds texts until one does not fit.
    fn add_all(&mut self, each: impl Iterator<Item = impl AsRef<str>>, room: &mut Room) {
        for words in each {
            if !self.add(words.as_ref(), room) {
                break;
            }
        }
    }

    fn push(&mut self, words: &str) {
        if self.named > 0 {
            self.words.push_str(Self::SEPARATOR);
        }
        self.words.push_str(words);
        self.named += 1;
    }

    fn finish(mut self) -> String {
        let more = self.all - self.named;
        if more > 0 {
            let _ = write!(self.words, "{}and {more} more", if self.named > 0 { Self::SEPARATOR } else { "" });
        }
        self.words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortening_keeps_what_fits_and_marks_what_is_missing() {
        assert_eq!(shorten("abcdef", 6), "abcdef");
        assert_eq!(shorten("abcdefg", 6), "abc...");
        assert_eq!(shorten("ab\u{20ac}defg", 6), "ab...", "never in the middle of a character");
    }

    #[test]
    fn all_violations_are_told_that_there_is_room_for() {
        let mut violations = Violations::new();
        for field in ["p", "scaling", "input.shape[1]"] {
            violations.add(field, "is wrong");
        }
        let (message, details) = of_violations(&violations);
        assert_eq!(message, "p: is wrong; scaling: is wrong; input.shape[1]: is wrong");
        assert_eq!(details.bad_request().map(|request| request.field_violations.len()), Some(3));

        for index in 0..200 {
            violations
                .add(format!("gradients[{index}].data"), "expected 24 bytes and got 20, for float32 of shape [2, 3]");
        }
        let (message, details) = of_violations(&violations);
        let listed = details.bad_request().map_or(0, |request| request.field_violations.len());
        assert!(listed > 20, "{listed}");
        assert_eq!(message.matches(": ").count(), FEW, "the details have the room that is left: {message}");
        assert!(message.ends_with("; and 199 more"), "{message}");
        let brief = in_brief(&violations);
        assert!(brief.starts_with("p: is wrong; scaling: is wrong; ") && brief.ends_with("; and 199 more"), "{brief}");
        assert_eq!(brief.matches(": ").count(), FEW, "{brief}");
    }

    #[test]
    fn a_long_violation_leaves_the_rest_of_the_room_to_others() {
        let mut violations = Violations::new();
        let long = "a".repeat(200);
        violations.add("p", long.clone());
        violations.add("scaling", "is wrong");
        let (message, details) = of_violations(&violations);
        assert_eq!(message, format!("p: {long}; scaling: is wrong"));
        assert_eq!(details.bad_request().map(|request| request.field_violations.len()), Some(2));
    }
}
