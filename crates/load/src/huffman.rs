//! HPACK's Huffman code (RFC 7541, appendix B), as far as header values in text need it.

/// Symbols by the length of their codes, in bits. The code is canonical: codes of one length are consecutive numbers, in
/// the order of the symbols. Other symbols, which text does not have, take 19 bits and more.
const SYMBOLS: [(u32, &[u8]); 11] = [
    (5, b"012aceiost"),
    (6, b" %-./3456789=A_bdfghlmnpru"),
    (7, b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, b"&*,;XZ"),
    (10, b"!\"()?"),
    (11, b"'+|"),
    (12, b"#>"),
    (13, b"\0$@[]~"),
    (14, b"^}"),
    (15, b"<`{"),
    (19, b"\\"),
];

/// The text of a code; `None`: it has other symbols than those of text.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| u32::from(byte >> bit & 1)));
    let mut text = Vec::with_capacity(bytes.len() * 8 / 5);
    loop {
        // The first code of a length follows the last one of the length before.
        let (mut code, mut len, mut first) = (0_u32, 0, 0);
        let symbol = 'symbol: {
            for (longer, symbols) in SYMBOLS {
                first <<= longer - len;
                while len < longer {
                    let Some(bit) = bits.next() else {
                        // The rest is padding, which is ones, and shorter than a byte.
                        return (len < 8 && code == (1 << len) - 1).then_some(text);
                    };
                    code = code << 1 | bit;
                    len += 1;
                }
                if let Some(symbol) = code.checked_sub(first).and_then(|index| symbols.get(index as usize)) {
                    break 'symbol *symbol;
                }
                first += symbols.len() as u32;
            }
            return None;
        };
        text.push(symbol);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7541, appendix C.4 and C.6.
    #[test]
    fn the_examples_of_the_rfc_are_read() {
        for (code, text) in [
            ("f1e3c2e5f23a6ba0ab90f4ff", "www.example.com"),
            ("a8eb10649cbf", "no-cache"),
            ("6402", "302"),
            ("d07abe941054d444a8200595040b8166e082a62d1bff", "Mon, 21 Oct 2013 20:13:21 GMT"),
            ("9d29ad171863c78f0b97c8e9ae82ae43d3", "https://www.example.com"),
            ("fffe1f", "\\"),
            ("", ""),
        ] {
            let bytes: Vec<u8> =
                (0..code.len()).step_by(2).map(|at| u8::from_str_radix(&code[at..at + 2], 16).expect("hex")).collect();
            assert_eq!(decode(&bytes).as_deref(), Some(text.as_bytes()), "{text}");
        }
        // Padding that is not ones, a symbol that text does not have, and padding of a whole byte.
        for bytes in [&b"\x07\x00"[..], b"\xff\xff\xff\xf0", b"\x07\xff"] {
            assert_eq!(decode(bytes), None, "{bytes:?}");
        }
    }
}
