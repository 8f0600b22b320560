//! Texts that are too long to be shown whole.

/// The beginning and the end of a text: at most `most` bytes each, in whole characters. `None`: the text has at most
/// twice as many bytes.
pub(crate) fn ends(text: &str, most: usize) -> Option<(&str, &str)> {
    if text.len() <= 2 * most {
        return None;
    }
    let is_boundary = |&at: &usize| text.is_char_boundary(at);
    // 0 and the length are boundaries.
    let beginning = (0..=most).rev().find(is_boundary)?;
    let end = (text.len() - most..=text.len()).find(is_boundary)?;
    Some((&text[..beginning], &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_not_cut() {
        assert_eq!(ends("abcd", 2), None);
        assert_eq!(ends("abcde", 2), Some(("ab", "de")));
        assert_eq!(ends("aéèb", 2), Some(("a", "b")), "of two bytes each");
        assert_eq!(ends("ééé", 2), Some(("é", "é")));
        assert_eq!(ends("😀😀", 3), Some(("", "")));
    }
}
