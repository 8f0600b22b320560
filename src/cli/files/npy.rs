//! NumPy's `.npy`: one tensor of floating-point numbers, in any order of elements and bytes.

mod header;

use bytes::Bytes;
use evenkeel_client::DType;
use ndarray::{ArrayView, IxDyn, ShapeBuilder as _};
use safetensors::Dtype;

use self::header::{Element, Header};
use super::{MAX_RANK, Source, Stored, element, is_an_array, source::expect_memory};

/// The number of first bytes that tell the length of the header.
const PREFIX: usize = 12;

/// Refuses first bytes, at least [`PREFIX`] of them, that do not begin such a file.
pub(super) fn check(beginning: &[u8]) -> Result<(), String> {
    header::len(beginning).map(|_| ())
}

/// The tensor of a file; or the reason why it cannot be read.
pub(super) fn read(source: &Source, name: String) -> Result<Stored, String> {
    let beginning = source.beginning(PREFIX).map_err(|error| error.to_string())?;
    let all = source.beginning(header::len(&beginning)?).map_err(|error| error.to_string())?;
    let Header { element, fortran_order, shape, data } = header::parse(&all)?;
    let (size, big_endian) = match element {
        Element::Float { size, big_endian } => (size, big_endian),
        Element::Other(name) => return Err(refusal(&name)),
    };
    let dtype = match size {
        2 => DType::F16,
        4 => DType::F32,
        _ => DType::F64,
    };
    let expected = shape.iter().try_fold(size, |bytes, &dim| bytes.checked_mul(dim));
    let Some(expected) = expected.filter(|_| is_an_array(&shape, size)) else {
        return Err(format!("no memory holds the shape {shape:?}"));
    };
    let there = source.len() - data as u64;
    if there != expected as u64 {
        return Err(format!("expected {expected} bytes after the header and got {there}, for shape {shape:?}"));
    }
    let (source, offset) = if big_endian || fortran_order && shape.len() > 1 {
        // Memory for the bytes as they are, and for the bytes in order.
        expect_memory(expected.saturating_mul(2))
            .map_err(|error| format!("not in row-major order and little-endian, so that {error}"))?;
        let bytes = source.read(data as u64, expected).map_err(|error| error.to_string())?;
        (Source::memory(in_order(bytes, size, big_endian, fortran_order, &shape)?), 0)
    } else {
        (source.clone(), data as u64)
    };
    Ok(Stored { name, dtype: element::stored(dtype), shape, source, offset, len: expected })
}

fn refusal(dtype: &str) -> String {
    format!("elements of {dtype} are not taken, only float16, float32 and float64; in NumPy, x.astype(np.float32)")
}

/// The elements in row-major order, little-endian.
fn in_order(
    bytes: Bytes,
    size: usize,
    big_endian: bool,
    fortran_order: bool,
    shape: &[usize],
) -> Result<Bytes, String> {
    match size {
        2 => elements::<2>(&bytes, big_endian, fortran_order, shape),
        4 => elements::<4>(&bytes, big_endian, fortran_order, shape),
        _ => elements::<8>(&bytes, big_endian, fortran_order, shape),
    }
}

fn elements<const SIZE: usize>(
    bytes: &[u8],
    big_endian: bool,
    fortran_order: bool,
    shape: &[usize],
) -> Result<Bytes, String> {
    let (elements, _) = bytes.as_chunks::<SIZE>();
    let array =
        ArrayView::from_shape(IxDyn(shape).set_f(fortran_order), elements).map_err(|error| error.to_string())?;
    let mut ordered = Vec::with_capacity(bytes.len());
    for element in array {
        let mut element = *element;
        if big_endian {
            element.reverse();
        }
        ordered.extend_from_slice(&element);
    }
    Ok(ordered.into())
}

/// The first bytes of a file of such a tensor in row-major order, up to its elements, as NumPy writes them: they end in
/// a newline, and their number is a multiple of 64.
///
/// # Errors
/// The name of the type, or the number of dimensions, that the format does not hold.
pub(super) fn header(dtype: Dtype, shape: &[usize]) -> Result<Vec<u8>, String> {
    let types = [(Dtype::F16, "<f2"), (Dtype::F32, "<f4"), (Dtype::F64, "<f8"), (Dtype::BOOL, "|b1")];
    let descr = types.iter().find_map(|&(it, descr)| (it == dtype).then_some(descr));
    let descr = descr.ok_or_else(|| element::name(dtype))?;
    if shape.len() > MAX_RANK {
        return Err(format!("{} dimensions, only {MAX_RANK}", shape.len()));
    }
    let mut dims: String = shape.iter().map(|dim| format!("{dim}, ")).collect();
    // One dimension keeps its comma, as every tuple of Python's does.
    dims.truncate(dims.len().saturating_sub(if shape.len() == 1 { 1 } else { 2 }));
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({dims}), }}");
    let unpadded = 10 + text.len() + 1;
    text.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
    text.push('\n');
    let len = u16::try_from(text.len()).expect("64 dimensions of 20 digits fit");
    Ok([b"\x93NUMPY\x01\x00", &len.to_le_bytes()[..], text.as_bytes()].concat())
}
