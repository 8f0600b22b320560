//! `.safetensors`, by the crate of those who made the format.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    io::{self, Write},
};

use bytes::Bytes;
use evenkeel_client::{DType, Tensor};
use safetensors::{Dtype, SafeTensors, View, tensor::TensorInfo};

use super::{Contents, Entry, Named, Payload};

/// The tensors that are asked for, or all; or why not.
pub(super) fn read(bytes: &[u8], only: &[String]) -> Result<Contents, String> {
    let not_one = |error| format!("not a .safetensors file: {error}");
    let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(not_one)?;
    let data = &bytes[size_of::<u64>() + header..];
    let names = if only.is_empty() { metadata.offset_keys() } else { only.to_vec() };
    let tensors = names
        .into_iter()
        .map(|name| {
            let info = metadata.info(&name).ok_or_else(|| {
                let there = metadata.offset_keys().join(", ");
                format!("there is no tensor '{name}', only {there}")
            })?;
            let tensor = tensor(info, data).map_err(|reason| format!("tensor '{name}': {reason}"))?;
            Ok(Named { name, tensor })
        })
        .collect::<Result<_, String>>()?;
    Ok(Contents { tensors, metadata: metadata.metadata().clone(), bytes: bytes.len() })
}

fn tensor(info: &TensorInfo, data: &[u8]) -> Result<Tensor, String> {
    let TensorInfo { dtype, shape, data_offsets: (first, end) } = info;
    let dtype = DTYPES.iter().find_map(|&(ours, theirs)| (theirs == *dtype).then_some(ours)).ok_or_else(|| {
        format!("elements of {dtype} are not taken, only F16, BF16, F32 and F64; others can be left out by --tensor")
    })?;
    Tensor::from_le_bytes(dtype, shape, &data[*first..*end]).map_err(|mismatch| mismatch.to_string())
}

const DTYPES: [(DType, Dtype); 4] =
    [(DType::F32, Dtype::F32), (DType::F64, Dtype::F64), (DType::F16, Dtype::F16), (DType::Bf16, Dtype::BF16)];

pub(super) fn write(
    entries: &[Entry],
    metadata: Option<HashMap<String, String>>,
    mut out: impl Write,
) -> io::Result<()> {
    let views = entries.iter().map(|(name, payload)| (name, Stored::from(payload)));
    let mut bytes = safetensors::serialize(views, metadata).map_err(io::Error::other)?;
    sort_header(&mut bytes)?;
    out.write_all(&bytes)
}

/// Puts the keys of the header in order: the crate writes metadata in the order of a hash map, which differs from run
/// to run, and equal results should be equal files. Nobody minds the order, for every tensor has its offsets.
fn sort_header(bytes: &mut [u8]) -> io::Result<()> {
    let (length, rest) = bytes.split_first_chunk_mut().ok_or(io::ErrorKind::InvalidData)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(io::Error::other)?;
    let header = rest.get_mut(..length).ok_or(io::ErrorKind::InvalidData)?;
    let sorted: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header)?;
    header.fill(b' ');
    serde_json::to_writer(&mut *header, &sorted)?;
    Ok(())
}

/// A tensor as the file has it.
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    data: Bytes,
}

impl From<&Payload> for Stored {
    fn from(payload: &Payload) -> Self {
        match payload {
            Payload::Numbers(tensor) => {
                let dtype = match tensor.dtype() {
                    DType::F32 => Dtype::F32,
                    DType::F64 => Dtype::F64,
                    DType::F16 => Dtype::F16,
                    DType::Bf16 => Dtype::BF16,
                };
                Self { dtype, shape: tensor.shape().to_vec(), data: tensor.clone().into_le_bytes() }
            }
            Payload::Mask(mask) => Self {
                dtype: Dtype::BOOL,
                shape: mask.shape().to_vec(),
                data: mask.iter().map(|&kept| u8::from(kept)).collect(),
            },
        }
    }
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.data)
    }

    fn data_len(&self) -> usize {
        self.data.len()
    }
}
