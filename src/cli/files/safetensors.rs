//! Headers of `.safetensors`, by the rules of the crate of the format's authors. Elements are read and written elsewhere.

mod head;

use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::{Metadata, TensorInfo};

use self::head::Head;
use super::{Contents, Form, MAX_RANK, Source, Stored, is_an_array, unique::expect_unique};
use crate::cli::text;

/// The crate refuses files with a longer header.
const MAX_HEADER: u64 = 100_000_000;
/// The bytes before the header, which hold its length.
const PREFIX: usize = size_of::<u64>();
/// The key that no tensor can have.
const METADATA: &str = "__metadata__";

fn not_one(reason: &str) -> String {
    format!("not a .safetensors file: {reason}")
}

fn announced(bytes: u64) -> String {
    not_one(&format!("its first bytes announce a header of {bytes} bytes"))
}

/// The length of the header in bytes, from the bytes before it.
fn header_len(beginning: &[u8]) -> Result<usize, String> {
    let len = beginning.first_chunk::<PREFIX>().ok_or_else(|| not_one("it is shorter than a header"))?;
    match u64::from_le_bytes(*len) {
        // An empty object has two braces.
        0 | 1 => Err(not_one("it is not a JSON object")),
        len if len > MAX_HEADER => Err(announced(len)),
        len => Ok(usize::try_from(len).expect("it is at most 100 MB")),
    }
}

/// Refuses first bytes, more than [`PREFIX`] of them, that do not begin such a file.
pub(super) fn check(beginning: &[u8]) -> Result<(), String> {
    header_len(beginning)?;
    let is_object = beginning[PREFIX..].trim_ascii_start().first().is_none_or(|&first| first == b'{');
    if is_object { Ok(()) } else { Err(not_one("it is not a JSON object")) }
}

/// All tensors of a file, in the order of their bytes; or the reason why they cannot be read.
pub(super) fn read(source: &Source) -> Result<Contents, String> {
    let beginning = source.beginning(PREFIX).map_err(|error| error.to_string())?;
    let header = header_len(&beginning)?;
    let rest = source.len() - PREFIX as u64;
    if header as u64 > rest {
        return Err(announced(header as u64));
    }
    let json = source.read(PREFIX as u64, header).map_err(|error| error.to_string())?;
    expect_unique(&json).map_err(|error| not_one(&error.to_string()))?;
    let head: Head = serde_json::from_slice(&json).map_err(|error| not_one(&error.to_string()))?;
    drop(json);
    let Head { metadata: own, mut tensors, too_many } = head;
    if let Some((name, rank)) = too_many {
        let name = text::name(&name);
        return Err(format!("tensor '{name}' has {rank} dimensions, and no array has more than {MAX_RANK}"));
    }
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let metadata = Metadata::new(None, tensors).map_err(|error| not_one(&error.to_string()))?;
    let (expected, given) = (metadata.data_len(), rest - header as u64);
    if expected as u64 != given {
        return Err(not_one(&format!("expected {expected} bytes after its header and got {given}")));
    }
    let data = (PREFIX + header) as u64;
    let stored = |name: String| {
        let TensorInfo { dtype, shape, data_offsets: (first, end) } = metadata.info(&name)?.clone();
        let (offset, len) = (data + first as u64, end - first);
        Some(Stored { name, dtype, shape, source: source.clone(), offset, len })
    };
    let mut tensors: Vec<Stored> = metadata.offset_keys().into_iter().filter_map(stored).collect();
    for Stored { name, dtype, shape, .. } in &tensors {
        if !is_an_array(shape, dtype.bitsize().div_ceil(8)) {
            return Err(format!("tensor '{}': no memory holds the shape {shape:?}", text::name(name)));
        }
    }
    // Tensors without elements begin where another does, and the crate's order of those differs from run to run.
    tensors.sort_by(|a, b| (a.offset, a.len, &a.name).cmp(&(b.offset, b.len, &b.name)));
    Ok(Contents { tensors, metadata: own, read: Vec::new() })
}

/// The bytes before the tensors of a file, and the offset of each tensor, in the order given: equal tensors make equal
/// files. Tensors of larger elements come first, so that each begins at a multiple of its element's size.
pub(super) fn header(
    forms: &[Form],
    metadata: Option<&HashMap<String, String>>,
) -> Result<(Vec<u8>, Vec<u64>), String> {
    let mut names = BTreeMap::new();
    for (index, form) in forms.iter().enumerate() {
        if form.name == METADATA {
            return Err(format!("a .safetensors file cannot hold a tensor whose name is {METADATA}"));
        }
        if names.insert(&form.name, index).is_some() {
            return Err(format!("two tensors have the name '{}'", text::name(&form.name)));
        }
    }
    let mut order: Vec<usize> = (0..forms.len()).collect();
    order.sort_by(|&a, &b| forms[b].dtype.cmp(&forms[a].dtype).then_with(|| forms[a].name.cmp(&forms[b].name)));
    let mut offsets = vec![0; forms.len()];
    let mut infos = Vec::with_capacity(forms.len());
    let mut end = 0;
    for index in order {
        let Form { name, dtype, shape, len } = &forms[index];
        infos.push((name.clone(), TensorInfo { dtype: *dtype, shape: shape.clone(), data_offsets: (end, end + len) }));
        offsets[index] = end as u64;
        end += len;
    }
    let metadata = Metadata::new(metadata.cloned(), infos).map_err(|error| error.to_string())?;
    // The crate writes metadata in the order of a hash map, which differs from run to run.
    let sorted = serde_json::to_value(&metadata).and_then(|value| serde_json::to_string(&value));
    let mut json = sorted.map_err(|error| error.to_string())?.into_bytes();
    json.resize(json.len().next_multiple_of(PREFIX), b' ');
    if json.len() as u64 > MAX_HEADER {
        return Err(format!("its header would have {} bytes, and no program reads more than {MAX_HEADER}", json.len()));
    }
    let header = [&(json.len() as u64).to_le_bytes(), &json[..]].concat();
    offsets.iter_mut().for_each(|offset| *offset += header.len() as u64);
    Ok((header, offsets))
}
