//! `.npy` files, written and read here by the format's definition, and not by the program's own code.

use std::{error::Error, fmt::Display};

/// A file with this header and these bytes.
pub(crate) fn file(descr: &str, fortran_order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': {fortran_order}, 'shape': {shape}, }}");
    // Magic, version, length and header fill whole 64 bytes, the last of which is a newline.
    let unpadded = 10 + header.len() + 1;
    header.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');
    let length = u16::try_from(header.len()).expect("test headers are short");
    [b"\x93NUMPY\x01\x00", &length.to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// A float32 file in C order.
pub(crate) fn f32s(shape: &str, values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    file("<f4", "False", shape, &values.into_iter().flat_map(f32::to_le_bytes).collect::<Vec<_>>())
}

/// A float64 file in C order.
pub(crate) fn f64s(shape: &str, values: impl IntoIterator<Item = f64>) -> Vec<u8> {
    file("<f8", "False", shape, &values.into_iter().flat_map(f64::to_le_bytes).collect::<Vec<_>>())
}

/// The elements of a file, which must have this type and shape and be in C order.
pub(crate) fn read<const SIZE: usize, T>(
    bytes: &[u8],
    descr: &str,
    shape: &str,
    decode: impl Fn([u8; SIZE]) -> T,
) -> Result<Vec<T>, Box<dyn Error>> {
    let wrong = |what: &dyn Display| -> Box<dyn Error> { format!("not such a .npy file: {what}").into() };
    let rest = bytes.strip_prefix(b"\x93NUMPY\x01\x00").ok_or_else(|| wrong(&"magic"))?;
    let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(|| wrong(&"length"))?;
    let length = usize::from(u16::from_le_bytes(*length));
    let header = str::from_utf8(rest.get(..length).ok_or_else(|| wrong(&"header"))?)?;
    // NumPy writes a comma only after a lone dimension, other programs after every last one; spaces mean nothing.
    let plain = |text: &str| text.replace(' ', "").replace(",)", ")");
    for expected in [format!("'descr': '{descr}'"), "'fortran_order': False".into(), format!("'shape': {shape}")] {
        if !plain(header).contains(&plain(&expected)) {
            return Err(wrong(&format_args!("no {expected} in {header}")));
        }
    }
    let (elements, []) = rest[length..].as_chunks::<SIZE>() else { return Err(wrong(&"data")) };
    Ok(elements.iter().map(|&element| decode(element)).collect())
}

/// The elements of a float32 file of this shape.
pub(crate) fn read_f32s(bytes: &[u8], shape: &str) -> Result<Vec<f32>, Box<dyn Error>> {
    read(bytes, "<f4", shape, f32::from_le_bytes)
}

/// The elements of a float64 file of this shape.
pub(crate) fn read_f64s(bytes: &[u8], shape: &str) -> Result<Vec<f64>, Box<dyn Error>> {
    read(bytes, "<f8", shape, f64::from_le_bytes)
}
