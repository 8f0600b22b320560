//! `model.safetensors.index.json`: which of several `.safetensors` files holds which tensor.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Component, Path},
};

use serde_json::Value;

use super::{Contents, Source, explain, read_safetensors, unique::expect_unique};
use crate::cli::{error::Error, text};

/// The end of an index's name.
pub(super) const EXTENSION: &str = ".safetensors.index.json";
/// The longest name of a file, in bytes, that file systems allow.
const MAX_NAME: usize = 255;
/// The most bytes of an index: that of a million tensors is shorter.
const MAX_LEN: u64 = 256 << 20;

/// The tensors of all shards, in the order of the shards' names, with the metadata that the shards agree on.
pub(super) fn read(path: &Path, source: &Source) -> Result<Contents, Error> {
    let wrong = |reason: String| Error::file(path, explain(source, format!("not an index of shards: {reason}")));
    if source.len() > MAX_LEN {
        return Err(wrong(format!("it has {} bytes, more than {MAX_LEN}", source.len())));
    }
    let text = source.beginning(usize::MAX).map_err(|error| Error::file(path, error))?;
    expect_unique(&text).map_err(|error| wrong(error.to_string()))?;
    let index: Value = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    let map = index.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| wrong("it has no object 'weight_map'".to_owned()))?;
    let mut shards: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, shard) in map {
        let file = shard.as_str().filter(|file| is_plain(file));
        let file =
            file.ok_or_else(|| wrong(format!("'{}' is not in a file of the index's own folder", text::name(name))))?;
        if file.len() > MAX_NAME {
            return Err(wrong(format!("no file has a name of {} bytes: '{}'", file.len(), text::name(file))));
        }
        shards.entry(file).or_default().insert(name);
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut all = Contents::default();
    let mut metadata: Option<Option<HashMap<String, String>>> = None;
    for (file, names) in shards {
        let shard = folder.join(file);
        let Contents { tensors, metadata: of_shard, read } = read_safetensors(&shard)?;
        let there: BTreeSet<&str> = tensors.iter().map(|tensor| &*tensor.name).collect();
        if let Some(missing) = names.difference(&there).next() {
            return Err(Error::file(
                &shard,
                format!("there is no tensor '{}', which the index has", text::name(missing)),
            ));
        }
        if let Some(more) = there.difference(&names).next() {
            return Err(Error::file(&shard, format!("the index does not have its tensor '{}'", text::name(more))));
        }
        all.tensors.extend(tensors);
        all.read.extend(read);
        let agree = metadata.as_ref().is_none_or(|before| *before == of_shard);
        metadata = Some(if agree { of_shard } else { None });
    }
    all.metadata = metadata.flatten();
    Ok(all)
}

/// Whether it is the name of a file and nothing else: an index must not lead out of its folder.
fn is_plain(file: &str) -> bool {
    let mut components = Path::new(file).components();
    matches!((components.next(), components.next()), (Some(Component::Normal(_)), None))
}
