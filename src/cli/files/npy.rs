//! NumPy's `.npy`, by the crate npyz: of the kept crates the one that has float16.

use std::io::Write;

use evenkeel_client::{Tensor, half::f16};
use ndarray::{ArrayD, IxDyn, ShapeBuilder as _};
use npyz::{AutoSerialize, DType, Deserialize, NpyFile, NpyHeader, Order, TypeChar, WriterBuilder as _};

use super::Payload;

/// Brackets that a header may open. That of an array opens two, of its dictionary and of its shape; types that are made of
/// others open more, and are not taken.
const MAX_BRACKETS: usize = 16;

/// The tensor of a file, whatever its order and endianness; or why not.
pub(super) fn read(mut bytes: &[u8]) -> Result<Tensor, String> {
    if brackets(bytes) > MAX_BRACKETS {
        return Err(format!("not a .npy file of numbers: its header opens more than {MAX_BRACKETS} brackets"));
    }
    let header = NpyHeader::from_reader(&mut bytes).map_err(|error| format!("not a .npy file: {error}"))?;
    match element(&header.dtype()) {
        Ok(2) => elements::<f16>(header, bytes).map(Tensor::F16),
        Ok(4) => elements::<f32>(header, bytes).map(Tensor::F32),
        Ok(8) => elements::<f64>(header, bytes).map(Tensor::F64),
        Ok(size) => Err(refusal(&format!("float{}", 8 * size))),
        Err(name) => Err(refusal(&name)),
    }
}

/// How many brackets the header opens. npyz's parser takes twice as long for each that is within another.
fn brackets(bytes: &[u8]) -> usize {
    let (begin, len) = match bytes {
        [_, _, _, _, _, _, 1, _, low, high, ..] => (10, usize::from(u16::from_le_bytes([*low, *high]))),
        [_, _, _, _, _, _, _, _, a, b, c, d, ..] => {
            (12, usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX))
        }
        // Not even that: npyz says so.
        _ => return 0,
    };
    let header = bytes[begin..].iter().take(len);
    header.filter(|byte| matches!(byte, b'{' | b'[' | b'(')).count()
}

fn refusal(dtype: &str) -> String {
    format!("elements of {dtype} are not taken, only float16, float32 and float64; in NumPy, x.astype(np.float32)")
}

/// The size of a floating-point element, or the name of another type.
fn element(dtype: &DType) -> Result<u64, String> {
    let DType::Plain(plain) = dtype else { return Err(format!("the structured type {}", dtype.descr())) };
    let bits = 8 * plain.size_field();
    match plain.type_char() {
        TypeChar::Float => Ok(plain.size_field()),
        TypeChar::Int => Err(format!("int{bits}")),
        TypeChar::Uint => Err(format!("uint{bits}")),
        TypeChar::Bool => Err("bool".to_owned()),
        TypeChar::Complex => Err(format!("complex{bits}")),
        // NumPy knows bfloat16 only by an extension, and saves it as bytes without a meaning.
        TypeChar::RawData if bits == 16 => Err(format!("{plain} (bfloat16? then use .safetensors)")),
        TypeChar::TimeDelta
        | TypeChar::DateTime
        | TypeChar::ByteStr
        | TypeChar::UnicodeStr
        | TypeChar::Object
        | TypeChar::RawData
        | _ => Err(plain.to_string()),
    }
}

/// The elements, of which there must be exactly as many as the shape says.
fn elements<A: Deserialize + Copy>(header: NpyHeader, bytes: &[u8]) -> Result<ArrayD<A>, String> {
    let shape: Option<Vec<usize>> = header.shape().iter().map(|&dim| usize::try_from(dim).ok()).collect();
    let expected =
        shape.as_ref().and_then(|shape| shape.iter().try_fold(size_of::<A>(), |bytes, &dim| bytes.checked_mul(dim)));
    let (Some(shape), Some(expected)) = (shape, expected) else {
        return Err(format!("no memory holds the shape {:?}", header.shape()));
    };
    if bytes.len() != expected {
        return Err(format!("expected {expected} bytes after the header and got {}, for shape {shape:?}", bytes.len()));
    }
    let fortran = header.order() == Order::Fortran;
    let elements = NpyFile::with_header(header, bytes).into_vec().map_err(|error| error.to_string())?;
    ArrayD::from_shape_vec(IxDyn(&shape).set_f(fortran), elements).map_err(|error| error.to_string())
}

/// Writes in C order. bfloat16, which the format does not have, is the caller's mistake.
pub(super) fn write(payload: &Payload, out: impl Write) -> std::io::Result<()> {
    match payload {
        Payload::Numbers(Tensor::F32(array)) => write_array(array, out),
        Payload::Numbers(Tensor::F64(array)) => write_array(array, out),
        Payload::Numbers(Tensor::F16(array)) => write_array(array, out),
        Payload::Numbers(Tensor::Bf16(_)) => Err(std::io::Error::other("a .npy file does not hold bfloat16")),
        Payload::Mask(array) => write_array(array, out),
    }
}

fn write_array<A: AutoSerialize + Copy>(array: &ArrayD<A>, out: impl Write) -> std::io::Result<()> {
    let shape: Vec<u64> = array.shape().iter().map(|&dim| dim as u64).collect();
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(out).begin_nd()?;
    writer.extend(array.iter())?;
    writer.finish()
}
