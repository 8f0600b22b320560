//! Files of lines that people write: tokens, headers.

/// The lines of a file that are neither empty nor comments, with their numbers, without the spaces around them.
///
/// Comments begin with `#`. The file may be as Unix and Windows write it: UTF-8, with a byte order mark or without, or UTF-16
/// with one; lines end in LF or CRLF.
///
/// # Errors
/// The reason why the content cannot be read. It does not repeat the content, which may be secret.
pub(crate) fn lines(content: &[u8]) -> Result<Vec<(usize, String)>, String> {
    let text = text(content)?;
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.split('\n')) {
        // Files that were concatenated have a byte order mark before each part.
        let line = line.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(control) = line.chars().find(|&c| c.is_control() && c != '\t') {
            return Err(format!("line {number}: there is a control character in it, U+{:04X}", u32::from(control)));
        }
        lines.push((number, line.to_owned()));
    }
    Ok(lines)
}

fn text(content: &[u8]) -> Result<String, String> {
    match content {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] | rest => match str::from_utf8(rest) {
            Ok(text) if text.contains('\0') => {
                Err("there are zero bytes in it, as in UTF-16 without a byte order mark; write it as UTF-8".to_owned())
            }
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err("it is not UTF-8".to_owned()),
        },
    }
}

fn utf16(content: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, String> {
    let (units, rest) = content.as_chunks();
    let text: Result<String, _> = char::decode_utf16(units.iter().map(|&bytes| unit(bytes))).collect();
    match text {
        Ok(text) if rest.is_empty() => Ok(text),
        Ok(_) | Err(_) => Err("it begins as UTF-16 and is not".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Result<Vec<String>, String> {
        Ok(lines(content)?.into_iter().map(|(_, line)| line).collect())
    }

    #[test]
    fn a_file_is_read_as_its_writer_meant_it() {
        let text = "# of the tokens\r\none\r\n\r\n  two \r\n";
        let utf16 = |order: fn(u16) -> [u8; 2]| {
            let marked = format!("\u{feff}{text}");
            marked.encode_utf16().flat_map(order).collect::<Vec<u8>>()
        };
        for content in [
            text.as_bytes().to_vec(),
            text.replace('\r', "").into_bytes(),
            format!("\u{feff}{text}").into_bytes(),
            "\u{feff}one\n\u{feff}# more\n\u{feff}two".as_bytes().to_vec(),
            utf16(u16::to_le_bytes),
            utf16(u16::to_be_bytes),
        ] {
            assert_eq!(read(&content), Ok(vec!["one".to_owned(), "two".to_owned()]), "{content:?}");
        }
        assert_eq!(lines(b"\n# a\nb"), Ok(vec![(3, "b".to_owned())]));
    }

    #[test]
    fn what_is_no_such_file_has_its_reason() {
        let without_mark: Vec<u8> = "secret".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (content, reason) in [
            (&without_mark[..], "UTF-16 without a byte order mark"),
            (b"\xFF\xFEs\0e", "begins as UTF-16"),
            (b"\xFF\xFE\0\xD8", "begins as UTF-16"),
            (b"secret\xFF", "not UTF-8"),
            (b"a\nsecret\rsecret", "line 2: there is a control character in it, U+000D"),
            (b"secret\x1b[0m", "line 1"),
        ] {
            let refused = read(content).expect_err(reason);
            assert!(refused.contains(reason) && !refused.contains("secret"), "{refused}");
        }
    }
}
