//! HPACK (RFC 7541) without a table: header blocks of requests, and the two fields of an answer that say how a call has
//! ended.

use crate::huffman;

/// The last entry of HPACK's static table.
const STATIC: usize = 61;
/// The entries of `:status`, with their values.
const STATUS: [(usize, &str); 7] =
    [(8, "200"), (9, "204"), (10, "206"), (11, "304"), (12, "400"), (13, "404"), (14, "500")];

/// What a header block of an answer says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// The status of HTTP.
    pub(crate) http_status: Option<String>,
    /// `grpc-status`.
    pub(crate) grpc_status: Option<String>,
    /// `grpc-message`, whose percent signs are resolved.
    pub(crate) grpc_message: Option<String>,
}

/// A field's name: in the static table, or written out.
enum Name {
    Static(usize),
    Literal(Vec<u8>),
}

/// The bytes of a block that are not read yet.
struct Input<'a>(&'a [u8]);

/// Writes a field without an index: a name of the static table, or 0 and `name`, and the value.
pub(crate) fn write_field(block: &mut Vec<u8>, index: u8, name: &str, value: &str) {
    write_integer(block, 0, 4, index.into());
    if index == 0 {
        write_text(block, name);
    }
    write_text(block, value);
}

fn write_text(block: &mut Vec<u8>, text: &str) {
    write_integer(block, 0, 7, text.len());
    block.extend_from_slice(text.as_bytes());
}

/// Writes an integer behind the flags of its first byte, which leave it so many bits.
fn write_integer(block: &mut Vec<u8>, flags: u8, bits: u32, mut number: usize) {
    let most = (1 << bits) - 1;
    if number < most {
        block.push(flags | number as u8);
        return;
    }
    block.push(flags | most as u8);
    number -= most;
    while number >= 128 {
        block.push(number as u8 | 128);
        number >>= 7;
    }
    block.push(number as u8);
}

impl Block {
    /// Reads a block of a peer that was told to keep no table.
    ///
    /// # Errors
    /// The block is not one, or refers to a table.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let (mut input, mut block) = (Input(bytes), Self::default());
        while let Some(&first) = input.0.first() {
            match first {
                0x80.. => {
                    let index = input.integer(7)?;
                    if index == 0 || index > STATIC {
                        return Err("a header block refers to a table that was refused");
                    }
                    let status = STATUS.iter().find(|(of, _)| *of == index).map(|(_, status)| (*status).to_owned());
                    block.http_status = status.or(block.http_status);
                }
                0x20..0x40 => drop(input.integer(5)?), // a new size of the table, which is empty
                // With an index, without one, and never with one: the value matters, the table does not.
                0x40..0x80 => block.field(input.name(6)?, input.text()?),
                0..0x20 => block.field(input.name(4)?, input.text()?),
            }
        }
        Ok(block)
    }

    fn field(&mut self, name: Name, value: Vec<u8>) {
        let value = String::from_utf8_lossy(&value).into_owned();
        match name {
            Name::Static(index) if STATUS.iter().any(|(of, _)| *of == index) => self.http_status = Some(value),
            Name::Literal(name) if name == b"grpc-status" => self.grpc_status = Some(value),
            Name::Literal(name) if name == b"grpc-message" => self.grpc_message = Some(resolve(&value)),
            Name::Static(_) | Name::Literal(_) => {}
        }
    }
}

impl Input<'_> {
    fn byte(&mut self) -> Result<u8, &'static str> {
        let (&first, rest) = self.0.split_first().ok_or("a header block is cut")?;
        self.0 = rest;
        Ok(first)
    }

    fn integer(&mut self, bits: u32) -> Result<usize, &'static str> {
        let most = (1 << bits) - 1;
        let mut number = usize::from(self.byte()?) & most;
        if number < most {
            return Ok(number);
        }
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            number += usize::from(byte & 127) << shift;
            if byte < 128 {
                return Ok(number);
            }
        }
        Err("a header block has a number that is too large")
    }

    fn name(&mut self, bits: u32) -> Result<Name, &'static str> {
        match self.integer(bits)? {
            0 => self.text().map(Name::Literal),
            index if index <= STATIC => Ok(Name::Static(index)),
            _ => Err("a header block refers to a table that was refused"),
        }
    }

    fn text(&mut self) -> Result<Vec<u8>, &'static str> {
        let is_code = self.0.first().is_some_and(|first| first & 128 != 0);
        let len = self.integer(7)?;
        let (text, rest) = self.0.split_at_checked(len).ok_or("a header block is cut")?;
        self.0 = rest;
        // A value that is no text, such as details in binary, is none that is read here.
        Ok(if is_code { huffman::decode(text).unwrap_or_default() } else { text.to_vec() })
    }
}

/// Resolves the percent signs of a message.
fn resolve(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let code = (first == b'%').then(|| after.get(..2)).flatten();
        let byte = code.and_then(|code| u8::from_str_radix(str::from_utf8(code).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_read_however_they_are_written() {
        // :status 200 by the table, content-type with an index, grpc-status in Huffman's code, a message in plain text.
        let block = [
            &b"\x88\x5F\x10application/grpc"[..],
            b"\x40\x88\x9A\xCA\xC8\xB2\x12\x34\xDA\x8F\x81\x07",
            b"\x00\x0Cgrpc-message\x0Ea%20b%C3%A9%zz",
        ]
        .concat();
        let message = Some("a bé%zz".to_owned());
        let read = Block::read(&block).expect("it is a block");
        let (http_status, grpc_status) = (Some("200".to_owned()), Some("0".to_owned()));
        assert_eq!(read, Block { http_status, grpc_status, grpc_message: message });

        let read = Block::read(b"\x20\x08\x03503\x10\x0Bgrpc-status\x0214").expect("it is a block");
        assert_eq!((read.http_status.as_deref(), read.grpc_status.as_deref()), (Some("503"), Some("14")));
        for wrong in [&b"\xBE"[..], b"\x7E\x01a", b"\x00\x0Bgrpc", b"\x08", b"\xFF\xFF\xFF\xFF\xFF\xFF", b"\x80"] {
            Block::read(wrong).expect_err("it is no block");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for len in [0, 1, 126, 127, 128, 300, 20_000] {
            let value = "x".repeat(len);
            let mut block = Vec::new();
            write_field(&mut block, 0, "grpc-message", &value);
            write_field(&mut block, 31, "", "application/grpc");
            write_field(&mut block, 0, "grpc-status", "13");
            let read = Block::read(&block).expect("it is a block");
            assert_eq!((read.grpc_message, read.grpc_status.as_deref()), (Some(value), Some("13")));
        }
    }
}
