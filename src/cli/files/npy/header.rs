//! The header of a `.npy` file: a Python dictionary of exactly three keys, in each of the forms that old and new
//! versions of NumPy and other programs write.

use super::super::{MAX_RANK, NPY, is_cut};

/// The most bytes of a header. NumPy itself takes no more than 10,000; a shape of 64 dimensions needs less than 2,000.
const MAX_LEN: usize = 1 << 16;

/// The content of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) element: Element,
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<usize>,
    /// Where the elements begin.
    pub(super) data: usize,
}

/// A type of elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// A floating-point number of two, four or eight bytes.
    Float { size: usize, big_endian: bool },
    /// Another type, by its name.
    Other(String),
}

/// The number of bytes up to the end of the header, from the first twelve bytes of the file.
pub(super) fn len(beginning: &[u8]) -> Result<usize, String> {
    let not_one = "not a .npy file: it does not begin with \\x93NUMPY";
    if is_cut(beginning) {
        return Err("not a .npy file: its header is cut".to_owned());
    }
    let rest = beginning.strip_prefix(NPY).ok_or(not_one)?;
    let (begin, len) = match rest {
        [1, _, low, high, ..] => (10, usize::from(u16::from_le_bytes([*low, *high]))),
        [2 | 3, _, a, b, c, d, ..] => (12, usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX)),
        [1..=3, ..] | [] => return Err("not a .npy file: its header is cut".to_owned()),
        [version, ..] => return Err(format!("not a .npy file that is known: version {version}")),
    };
    if len > MAX_LEN {
        return Err(format!("not a .npy file: its header has {len} bytes, more than {MAX_LEN}"));
    }
    Ok(begin + len)
}

/// Reads all of a header, of the length that [`len`] tells.
pub(super) fn parse(bytes: &[u8]) -> Result<Header, String> {
    let data = len(bytes)?;
    let begin = if bytes.get(6) == Some(&1) { 10 } else { 12 };
    let text = bytes.get(begin..data).ok_or("not a .npy file: its header is cut")?;
    let text = str::from_utf8(text).map_err(|_| "not a .npy file: its header is not UTF-8")?;
    let mut parser = Parser { rest: text };
    let (mut element, mut fortran_order, mut shape) = (None, None, None);
    parser.expect('{')?;
    while !parser.take('}') {
        let key = parser.string()?;
        parser.expect(':')?;
        let is_new = match key {
            "descr" => element.replace(parser.element()?).is_none(),
            "fortran_order" => fortran_order.replace(parser.bool()?).is_none(),
            "shape" => shape.replace(parser.shape()?).is_none(),
            other => return Err(format!("not a .npy file: its header has the unknown key {other:?}")),
        };
        if !is_new {
            return Err(format!("not a .npy file: its header has '{key}' twice"));
        }
        if !parser.take(',') {
            parser.expect('}')?;
            break;
        }
    }
    if !parser.rest.trim_matches(is_space).is_empty() {
        return Err(parser.wrong("the end"));
    }
    match (element, fortran_order, shape) {
        (Some(element), Some(fortran_order), Some(shape)) => Ok(Header { element, fortran_order, shape, data }),
        (None, _, _) => Err("not a .npy file: its header has no 'descr'".to_owned()),
        (_, None, _) => Err("not a .npy file: its header has no 'fortran_order'".to_owned()),
        (_, _, None) => Err("not a .npy file: its header has no 'shape'".to_owned()),
    }
}

/// Some writers fill up with NUL rather than with spaces.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c' | '\0')
}

/// Reads Python's literals one after another.
struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn wrong(&self, expected: &str) -> String {
        let found: String = self.rest.chars().take(20).collect();
        format!("not a .npy file: in its header {found:?} stands where {expected} should")
    }

    fn take(&mut self, c: char) -> bool {
        self.rest = self.rest.trim_start_matches(is_space);
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, c: char) -> Result<(), String> {
        if self.take(c) { Ok(()) } else { Err(self.wrong(&format!("{c:?}"))) }
    }

    /// `'a'`, `"a"`, and as Python 2 may have it `u'a'`, `b'a'`. Nothing in a header is escaped.
    fn string(&mut self) -> Result<&'a str, String> {
        self.rest = self.rest.trim_start_matches(is_space);
        let quoted = self.rest.strip_prefix(['u', 'b', 'U', 'B']).unwrap_or(self.rest);
        let quote = quoted.chars().next().filter(|c| matches!(c, '\'' | '"')).ok_or_else(|| self.wrong("a string"))?;
        let (text, rest) = quoted[1..].split_once(quote).ok_or_else(|| self.wrong("a string"))?;
        if text.contains(['\\', '\n']) {
            return Err(self.wrong("a plain string"));
        }
        self.rest = rest;
        Ok(text)
    }

    fn bool(&mut self) -> Result<bool, String> {
        self.rest = self.rest.trim_start_matches(is_space);
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err(self.wrong("True or False"))
    }

    fn element(&mut self) -> Result<Element, String> {
        self.rest = self.rest.trim_start_matches(is_space);
        if self.rest.starts_with(['[', '(', '{']) {
            return Err(super::refusal("a structured type"));
        }
        Ok(Element::named(self.string()?))
    }

    /// `()`, `(3,)`, `(3, 4)`; the numbers of Python 2 end in L.
    fn shape(&mut self) -> Result<Vec<usize>, String> {
        self.expect('(')?;
        let mut shape = Vec::new();
        let mut has_comma = true;
        while !self.take(')') {
            if !has_comma {
                return Err(self.wrong("',' or ')'"));
            }
            self.rest = self.rest.trim_start_matches(is_space);
            if self.rest.starts_with('-') {
                return Err("not a .npy file: its shape has a negative dimension".to_owned());
            }
            let digits = self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, rest) = self.rest.split_at(digits);
            shape.push(number.parse().map_err(|_| self.wrong("a dimension of the shape"))?);
            self.rest = rest.strip_prefix(['L', 'l']).unwrap_or(rest);
            has_comma = self.take(',');
        }
        if shape.len() > MAX_RANK {
            return Err(format!("its shape has {} dimensions, and no array has more than {MAX_RANK}", shape.len()));
        }
        if shape.len() == 1 && !has_comma {
            return Err("not a .npy file: its shape is a number, not a tuple".to_owned());
        }
        Ok(shape)
    }
}

impl Element {
    /// The type that NumPy makes of a string: an order of bytes or none, and a type by its letter and size, by its letter
    /// alone or by its name.
    fn named(text: &str) -> Self {
        let (order, kind) = match text.split_at_checked(1) {
            Some((order @ ("<" | ">" | "=" | "|"), kind)) => (order, kind),
            Some(_) | None => ("=", text),
        };
        let size = match kind {
            "f2" | "e" | "float16" | "half" => 2,
            "f4" | "f" | "float32" | "single" => 4,
            "f8" | "d" | "float64" | "float" | "double" => 8,
            _ => return Self::Other(other(text, kind)),
        };
        let big_endian = order == ">" || order != "<" && cfg!(target_endian = "big");
        Self::Float { size, big_endian }
    }
}

/// The usual name of another type.
fn other(text: &str, kind: &str) -> String {
    let (letter, size) = kind.split_at(kind.chars().next().map_or(0, char::len_utf8));
    let bits = size.parse::<u32>().ok().and_then(|bytes| bytes.checked_mul(8));
    match (letter, bits) {
        ("b", Some(8)) | ("?", None) => "bool".to_owned(),
        ("i", Some(bits)) => format!("int{bits}"),
        ("u", Some(bits)) => format!("uint{bits}"),
        ("f", Some(bits)) => format!("float{bits}"),
        ("c", Some(bits)) => format!("complex{bits}"),
        // NumPy knows bfloat16 only by an extension, and saves it as bytes without a meaning.
        ("V", Some(16)) => format!("{text} (bfloat16? then use .safetensors)"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: u8, header: &str) -> Vec<u8> {
        let mut bytes = [b"\x93NUMPY", &[version, 0][..]].concat();
        if version == 1 {
            bytes.extend((header.len() as u16).to_le_bytes());
        } else {
            bytes.extend((header.len() as u32).to_le_bytes());
        }
        bytes.extend(header.as_bytes());
        bytes
    }

    #[test]
    fn headers_that_numpy_reads() {
        let float = |size, big_endian| Element::Float { size, big_endian };
        for (descr, element) in [
            ("'<f4'", float(4, false)),
            ("'>f8'", float(8, true)),
            ("'=f4'", float(4, cfg!(target_endian = "big"))),
            ("'|f4'", float(4, cfg!(target_endian = "big"))),
            ("'f4'", float(4, cfg!(target_endian = "big"))),
            ("\"<f2\"", float(2, false)),
            ("u'<f8'", float(8, false)),
            ("'float32'", float(4, cfg!(target_endian = "big"))),
            ("'<d'", float(8, false)),
        ] {
            for version in 1..=3 {
                for (shape, dims) in [("(2L, 3L)", &[2, 3][..]), ("(2, 3, )", &[2, 3]), ("(7,)", &[7]), ("()", &[])] {
                    for end in ["", ", }", ",}\n", "}   \n", "}\r\n", "}\0\0", "\n}\n"] {
                        let end = if end.is_empty() { "}" } else { end };
                        let header = format!("{{\n 'descr': {descr}, 'shape':{shape},\t'fortran_order' : False{end}");
                        let bytes = file(version, &header);
                        let expected = Header {
                            element: element.clone(),
                            fortran_order: false,
                            shape: dims.to_vec(),
                            data: bytes.len(),
                        };
                        assert_eq!(parse(&bytes), Ok(expected), "{header}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}";
        assert!(parse(&file(1, good)).is_ok());
        assert!(parse(&file(1, &good.replace("3,", &"1,".repeat(MAX_RANK)))).is_ok());
        for (from, to, word) in [
            ("(3,)", "(3)", "not a tuple"),
            ("(3,)", "3", "'('"),
            ("(3,)", "[3]", "'('"),
            ("(3,)", "(-3,)", "negative"),
            ("(3,)", "(99999999999999999999,)", "dimension"),
            ("(3,)", "(3 4)", "','"),
            ("(3,)", "(3,,)", "dimension"),
            ("(3,)", "(3.0,)", "','"),
            ("(3,)", "(3,", "dimension"),
            ("(3,)", &format!("({})", "1,".repeat(MAX_RANK + 1)), "65 dimensions"),
            ("False", "0", "True or False"),
            ("'shape'", "'size'", "unknown key"),
            ("'shape'", "'descr'", "structured"),
            ("'fortran_order': False", "'descr': '<f4'", "'descr' twice"),
            (", 'shape': (3,)", "", "no 'shape'"),
            ("'<f4'", "'<f4", "not a .npy file"),
            ("'<f4'", "'\\x3cf4'", "plain string"),
            ("(3,)}", "(3,)} more", "the end"),
        ] {
            let error = parse(&file(1, &good.replace(from, to))).expect_err(to);
            assert!(error.contains(word), "{to}: {error}");
        }
        assert!(parse(&file(4, good)).is_err_and(|error| error.contains("version 4")));
        assert!(parse(&file(2, &" ".repeat(MAX_LEN + 1))).is_err_and(|error| error.contains("more than")));
        let nested = format!("{{'descr': {}", "[(".repeat(30_000));
        assert!(parse(&file(1, &nested)).is_err());
        for len in 0..20 {
            assert!(parse(&file(1, good)[..len]).is_err(), "{len}");
        }
    }
}
