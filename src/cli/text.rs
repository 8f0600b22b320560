//! Names and messages as a terminal may show them: a name in a file must not move the cursor.

use std::path::Path;

use unicode_width::UnicodeWidthStr as _;

use crate::shorten;

/// The most columns of a name: a longer one makes a table or a line unreadable.
const MAX_NAME: usize = 80;
/// The most bytes of a name that are escaped to be shown: enough to fill [`MAX_NAME`] columns with letters of four
/// bytes that have several combining marks each.
const MAX_LOOKED_AT: usize = 4096;

/// Text in which control characters, marks that turn the direction of writing and other invisible ones are escaped as
/// Rust has it: `\u{202e}`, `\n`. `keep`: those that stay.
fn escape(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        // Alone, a combining mark would be escaped; it stands behind its letter here.
        let is_letter = c.is_alphanumeric() || unicode_width::UnicodeWidthChar::width(c).is_some_and(|width| width > 0);
        match c {
            '\'' | '"' => shown.push(c),
            _ if keep(c) => shown.push(c),
            '\\' => shown.push_str("\\\\"),
            _ if is_letter && !is_hidden(c) => shown.push(c),
            _ if is_combining(c) => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}

/// Whether Rust would escape it wherever it stands.
fn is_hidden(c: char) -> bool {
    c.escape_debug().count() > 1
}

/// Marks that are drawn over the letter before them.
fn is_combining(c: char) -> bool {
    // `str` escapes them at its beginning alone, `char` always.
    let text = ['a', c].into_iter().collect::<String>();
    text.escape_debug().count() == 2
}

/// A name out of a file: escaped, and shortened in its middle if it is too long to be read.
pub(super) fn name(name: &str) -> String {
    let half = (MAX_NAME - 1) / 2;
    // The middle of a name of megabytes is not escaped first, which would take long.
    let (beginning, end) = shorten::ends(name, MAX_LOOKED_AT / 2).unwrap_or((name, name));
    let (beginning, end) = (escape(beginning, |_| false), escape(end, |_| false));
    if name.len() <= MAX_LOOKED_AT && beginning.width() <= MAX_NAME {
        return beginning;
    }
    let first = take(beginning.chars(), half);
    let last: String = take(end.chars().rev(), half).chars().rev().collect();
    format!("{first}…{last}")
}

/// The first characters that fill no more than so many columns.
fn take(chars: impl Iterator<Item = char>, columns: usize) -> String {
    let mut taken = String::new();
    for c in chars {
        if taken.width() + unicode_width::UnicodeWidthChar::width(c).unwrap_or(0) > columns {
            break;
        }
        taken.push(c);
    }
    taken
}

/// A path, escaped.
pub(super) fn path(path: &Path) -> String {
    escape(&path.to_string_lossy(), |_| false)
}

/// A message for standard error. Its lines stay lines, and a backslash stays, since names in the message are escaped
/// already.
pub fn message(text: &str) -> String {
    escape(text, |c| c == '\n' || c == '\\')
}

/// JSON whose strings have no character that a terminal would obey, or that turns the direction of writing.
pub(super) fn json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) && !matches!(c, '\n' | '"' | '\'' | '\\') && !is_combining(c) {
            let mut units = [0; 2];
            shown.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Some of many names, for an error.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const MANY: usize = 8;
    let mut names = names.into_iter();
    let shown: Vec<String> = names.by_ref().take(MANY).map(name).collect();
    match names.count() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        for (given, shown) in [
            ("conv1.weight", "conv1.weight"),
            ("a\x1b[31mb", "a\\u{1b}[31mb"),
            ("a\r\n\0b", "a\\r\\n\\0b"),
            ("abc\u{202e}txt\u{2066}", "abc\\u{202e}txt\\u{2066}"),
            ("\u{feff}a\u{200d}\u{2028}", "\\u{feff}a\\u{200d}\\u{2028}"),
            ("a\\nb", "a\\\\nb"),
            ("it's \"x\"", "it's \"x\""),
            ("é e\u{301} 層.重み", "é e\u{301} 層.重み"),
            ("", ""),
        ] {
            assert_eq!(name(given), shown);
        }
        assert_eq!(message("a: b\nc\x07 \\u{1b}"), "a: b\nc\\u{7} \\u{1b}");
        assert_eq!(json("\"a\u{202e}\u{7f}é\u{e0001}\\n\""), "\"a\\u202e\\u007fé\\udb40\\udc01\\n\"");
    }

    #[test]
    fn long_names_lose_their_middle() {
        let long = name(&format!("first{}last", "x".repeat(65_536)));
        assert!(long.starts_with("first") && long.ends_with("last") && long.width() <= MAX_NAME, "{long}");
        let wide = name(&"層".repeat(100));
        assert!(wide.contains('…') && wide.width() <= MAX_NAME, "{wide}");
        // Marks fill no column, and so no number of columns bounds how many there are.
        let marked = name(&format!("a{}z", "\u{301}".repeat(1 << 20)));
        assert!(
            marked.len() < 2 * MAX_LOOKED_AT && marked.starts_with("a\u{301}") && marked.ends_with('z'),
            "{marked}"
        );
        assert_eq!(list(["a", "b"]), "a, b");
        assert_eq!(list(["n"; 11]), "n, n, n, n, n, n, n, n and 3 more");
    }
}
