//! `model.safetensors.index.json`: which of several `.safetensors` files holds which tensor.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Component, Path, PathBuf},
};

use serde_json::{Map, Value};

use super::{Contents, Read, Source, Stored, explain, read_safetensors, unique::expect_unique};
use crate::cli::{error::Error, text};

/// The end of an index's name.
pub(super) const EXTENSION: &str = ".safetensors.index.json";
/// The longest name of a file, in bytes, that file systems allow.
const MAX_NAME: usize = 255;
/// The most bytes of an index: that of a million tensors is shorter.
const MAX_LEN: u64 = 256 << 20;

/// What an index holds together.
#[derive(Debug)]
pub(in crate::cli) struct Shards {
    /// The index, as it was read.
    index: Value,
    /// The files, in the order of their names, and their tensors.
    pub(in crate::cli) files: Vec<(PathBuf, Contents)>,
    /// The file of the index.
    pub(in crate::cli) read: Read,
}

impl Shards {
    /// The tensors of all shards, with the metadata that the shards agree on.
    pub(super) fn into_contents(self) -> Contents {
        let Self { index: _, files, read } = self;
        let mut all = Contents::default();
        let mut metadata: Option<Option<HashMap<String, String>>> = None;
        for (_, Contents { tensors, metadata: of_shard, read }) in files {
            all.tensors.extend(tensors);
            all.read.extend(read);
            let agree = metadata.as_ref().is_none_or(|before| *before == of_shard);
            metadata = Some(if agree { of_shard } else { None });
        }
        all.metadata = metadata.flatten();
        all.read.push(read);
        all
    }

    /// The index of those tensors that the files still have, as text. What else it has stays as it is.
    pub(in crate::cli) fn text(&self) -> String {
        let mut index = self.index.clone();
        let mut map = Map::new();
        let mut len = 0;
        for (path, contents) in &self.files {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            for Stored { name, len: of_tensor, .. } in &contents.tensors {
                map.insert(name.clone(), Value::from(&*file));
                len += of_tensor;
            }
        }
        if let Some(total) = index.get_mut("metadata").and_then(|metadata| metadata.get_mut("total_size")) {
            *total = len.into();
        }
        index["weight_map"] = Value::Object(map);
        format!("{index:#}\n")
    }
}

/// Reads an index, and the headers of its shards.
pub(super) fn read(path: &Path, source: &Source) -> Result<Shards, Error> {
    let wrong = |reason: String| Error::file(path, explain(source, format!("not an index of shards: {reason}")));
    if source.len() > MAX_LEN {
        return Err(wrong(format!("it has {} bytes, more than {MAX_LEN}", source.len())));
    }
    let text = source.beginning(usize::MAX).map_err(|error| Error::file(path, error))?;
    expect_unique(&text).map_err(|error| wrong(error.to_string()))?;
    let index: Value = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    let map = index.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| wrong("it has no object 'weight_map'".to_owned()))?;
    let mut names: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, shard) in map {
        let file = shard.as_str().filter(|file| is_plain(file));
        let file =
            file.ok_or_else(|| wrong(format!("'{}' is not in a file of the index's own folder", text::name(name))))?;
        if file.len() > MAX_NAME {
            return Err(wrong(format!("no file has a name of {} bytes: '{}'", file.len(), text::name(file))));
        }
        names.entry(file).or_default().insert(name);
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let files: Result<_, Error> =
        names.into_iter().map(|(file, names)| read_shard(folder.join(file), &names)).collect();
    Ok(Shards { files: files?, index, read: Read::new(path, source) })
}

/// Reads the header of a shard, which must have the tensors of these names and no others.
fn read_shard(shard: PathBuf, names: &BTreeSet<&str>) -> Result<(PathBuf, Contents), Error> {
    let contents = read_safetensors(&shard)?;
    let there: BTreeSet<&str> = contents.tensors.iter().map(|tensor| &*tensor.name).collect();
    if let Some(missing) = names.difference(&there).next() {
        return Err(Error::file(&shard, format!("there is no tensor '{}', which the index has", text::name(missing))));
    }
    if let Some(more) = there.difference(names).next() {
        return Err(Error::file(&shard, format!("the index does not have its tensor '{}'", text::name(more))));
    }
    Ok((shard, contents))
}

/// Whether it is the name of a file and nothing else: an index must not lead out of its folder.
fn is_plain(file: &str) -> bool {
    let mut components = Path::new(file).components();
    matches!((components.next(), components.next()), (Some(Component::Normal(_)), None))
}
