//! Tensors in files: `.npy`, `.safetensors`, and `.safetensors.index.json` with its shards.
//!
//! Reading a file reads its header alone; the bytes of tensors are read when they are needed, in pieces.

pub(super) mod element;
mod identity;
mod input;
mod npy;
mod output;
mod safetensors;
mod selection;
mod shards;
mod source;
mod unique;

use std::{
    collections::HashMap,
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use ::safetensors::Dtype;
use bytes::Bytes;
use clap::builder::{OsStringValueParser, TypedValueParser};
use evenkeel_proto::v1 as pb;

pub(super) use self::{
    identity::{Identity, STANDARD},
    input::Input,
    output::{Output, Target, Writer, commit},
    selection::Selection,
    shards::Shards,
    source::{Source, expect_memory},
};
use super::{error::Error, text};

/// The most dimensions of a tensor: NumPy's limit, PyTorch's, and the service's.
const MAX_RANK: usize = 64;

/// The first bytes of a `.npy` file.
const NPY: &[u8] = b"\x93NUMPY";

/// The formats, by their extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One tensor, NumPy's own format: float16, float32, float64.
    Npy,
    /// Tensors by name, and metadata.
    Safetensors,
    /// The names of `.safetensors` files. Only read.
    Index,
}

impl Format {
    /// The format that the extension names; `None`: another extension, or none.
    pub(super) fn of(path: &Path) -> Option<Self> {
        if path.to_str().is_some_and(|path| path.ends_with(shards::EXTENSION)) {
            return Some(Self::Index);
        }
        match path.extension()?.to_str()? {
            "npy" => Some(Self::Npy),
            "safetensors" => Some(Self::Safetensors),
            _ => None,
        }
    }

    fn refuse(flag: &str, path: &Path) -> Error {
        Error::usage(flag, format!("{} is neither a .npy nor a .safetensors file", text::path(path)))
    }
}

/// A tensor in a file.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// In a `.npy` file, the name of the file without its extension.
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    source: Source,
    offset: u64,
    /// In bytes.
    pub(super) len: usize,
}

impl Stored {
    /// Reads `len` bytes from byte `at` on.
    pub(super) fn read(&self, at: usize, len: usize) -> std::io::Result<Bytes> {
        self.source.read(self.offset + at as u64, len)
    }

    /// As [`read`](Self::read), and appends the bytes to `to`.
    pub(super) fn append(&self, at: usize, len: usize, to: &mut Vec<u8>) -> std::io::Result<()> {
        self.source.append(self.offset + at as u64, len, to)
    }

    /// The number of elements.
    pub(super) fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    fn form(&self) -> Form {
        Form { name: self.name.clone(), dtype: self.dtype, shape: self.shape.clone(), len: self.len }
    }
}

/// The description of a tensor in the header of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// In bytes.
    pub(super) len: usize,
}

/// Whether memory could hold a tensor of this shape, with 1 in place of each 0. NumPy and ndarray refuse other shapes;
/// and for such a shape no product of some of its dimensions overflows.
fn is_an_array(shape: &[usize], size: usize) -> bool {
    let bytes = shape.iter().filter(|&&dim| dim != 0).try_fold(size, |bytes, &dim| bytes.checked_mul(dim));
    bytes.is_some_and(|bytes| isize::try_from(bytes).is_ok())
}

/// The tensors and metadata of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    pub(super) tensors: Vec<Stored>,
    /// The metadata of a `.safetensors` file.
    pub(super) metadata: Option<HashMap<String, String>>,
    /// All files that were opened, also those of which no tensor is taken.
    pub(super) read: Vec<Read>,
}

impl Contents {
    pub(super) fn forms(&self) -> Vec<Form> {
        self.tensors.iter().map(Stored::form).collect()
    }
}

/// A file that is read.
#[derive(Clone, Debug)]
pub(super) struct Read {
    path: PathBuf,
    source: Source,
}

impl Read {
    fn new(path: &Path, source: &Source) -> Self {
        Self { path: path.to_owned(), source: source.clone() }
    }

    /// Refuses a file that has changed since it was opened.
    pub(super) fn expect_unchanged(&self) -> Result<(), Error> {
        self.source.expect_unchanged().map_err(|error| Error::file(&self.path, error))
    }
}

/// Reads the headers of the file that a flag names, or of its shards. Blocks until a pipe has ended.
pub(super) fn read(flag: &str, path: &Path) -> Result<Input, Error> {
    let is_standard = path.as_os_str() == STANDARD;
    let known = Format::of(path);
    // The content of a stream tells its format; but a regular file must have one of the known extensions.
    let is_regular = !is_standard && std::fs::metadata(path).is_ok_and(|file| file.is_file() || file.is_dir());
    if known.is_none() && (is_regular || !is_standard && !path.exists()) && !path.starts_with("/dev") {
        return Err(Format::refuse(flag, path));
    }
    let source = Source::open(path, |bytes| check(known, &bytes)).map_err(|error| Error::file(path, error))?;
    let wrong = |reason: String| Error::file(path, explain(&source, reason));
    let format = match known {
        Some(format) => format,
        None => told_by(&source.beginning(NPY.len()).map_err(|error| Error::file(path, error))?),
    };
    let mut contents = match format {
        Format::Npy => {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let name = if is_standard { "stdin".to_owned() } else { stem.into_owned() };
            Contents { tensors: vec![npy::read(&source, name).map_err(wrong)?], ..Contents::default() }
        }
        Format::Safetensors => safetensors::read(&source).map_err(wrong)?,
        Format::Index => return shards::read(path, &source).map(Input::Shards),
    };
    contents.read.push(Read::new(path, &source));
    Ok(Input::One(contents, format))
}

/// The format of a file whose name does not tell it.
fn told_by(beginning: &[u8]) -> Format {
    if beginning.starts_with(NPY) || is_cut(beginning) { Format::Npy } else { Format::Safetensors }
}

/// Whether these are the first bytes of a `.npy` file that is cut among its very first bytes.
fn is_cut(beginning: &[u8]) -> bool {
    !beginning.is_empty() && beginning.len() < NPY.len() && NPY.starts_with(beginning)
}

/// Refuses a stream whose first bytes do not begin a file of this format; `None`: of any format.
fn check(known: Option<Format>, beginning: &Bytes) -> Result<(), String> {
    match known.unwrap_or_else(|| told_by(beginning)) {
        Format::Npy => npy::check(beginning),
        Format::Safetensors => safetensors::check(beginning),
        // An index is JSON, which may begin with any number of spaces.
        Format::Index => Ok(()),
    }
    .map_err(|reason| explain(&Source::memory(beginning.clone()), reason))
}

/// Reads a shard of an index.
fn read_safetensors(path: &Path) -> Result<Contents, Error> {
    let known = Some(Format::Safetensors);
    let source = Source::open(path, |bytes| check(known, &bytes)).map_err(|error| Error::file(path, error))?;
    let contents = safetensors::read(&source).map_err(|reason| Error::file(path, explain(&source, reason)))?;
    Ok(Contents { read: vec![Read::new(path, &source)], ..contents })
}

/// The reason why a file cannot be read: it is a Git LFS pointer, if it begins as one; else `reason`.
fn explain(source: &Source, reason: String) -> String {
    const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
    match source.beginning(POINTER.len()) {
        Ok(beginning) if &*beginning == POINTER => {
            "a Git LFS pointer, not the file itself; `git lfs pull` fetches that".to_owned()
        }
        Ok(_) | Err(_) => reason,
    }
}

/// The number of elements that are computed with in a `.npy` file of these bytes. Only for `fuzz/`.
///
/// # Errors
/// The reason that the command line would give for refusing the file.
#[doc(hidden)]
pub fn count_npy(bytes: &[u8]) -> Result<usize, String> {
    let source = Source::memory(Bytes::copy_from_slice(bytes));
    npy::read(&source, String::new()).map(|tensor| tensor.elements())
}

/// As [`count_npy`], of a `.safetensors` file.
///
/// # Errors
/// The reason that the command line would give for refusing the file.
#[doc(hidden)]
pub fn count_safetensors(bytes: &[u8]) -> Result<usize, String> {
    let contents = safetensors::read(&Source::memory(Bytes::copy_from_slice(bytes)))?;
    let computed = contents.tensors.iter().filter(|tensor| element::computed(tensor.dtype).is_some());
    Ok(computed.map(Stored::elements).sum())
}

/// One tensor of a file, as a flag names it: `FILE` or `FILE:NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TensorPath {
    path: PathBuf,
    name: Option<String>,
}

impl TensorPath {
    /// How clap reads a flag of this kind.
    pub(super) fn parser() -> impl TypedValueParser<Value = Self> {
        OsStringValueParser::new().try_map(|argument| Self::parse(&argument))
    }

    fn parse(argument: &OsStr) -> Result<Self, String> {
        // A path may hold colons, and so may a name; the extension stands between the two.
        const SEPARATOR: &[u8] = b".safetensors:";
        let bytes = argument.as_bytes();
        let Some(dot) = bytes.windows(SEPARATOR.len()).position(|window| window == SEPARATOR) else {
            return Ok(Self { path: argument.into(), name: None });
        };
        let (path, name) = bytes.split_at(dot + SEPARATOR.len());
        let name = str::from_utf8(name).map_err(|_| "the name of the tensor is not UTF-8")?;
        Ok(Self { path: OsStr::from_bytes(&path[..path.len() - 1]).into(), name: Some(name.to_owned()) })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the tensor, and returns the files that were opened for it.
    pub(super) fn read(&self, flag: &str) -> Result<(pb::Tensor, Vec<Read>), Error> {
        let Self { path, name } = self;
        let Contents { tensors, metadata: _, read } = read(flag, path)?.into_contents();
        let found: Vec<&Stored> = match name {
            Some(name) => {
                let found: Vec<_> = tensors.iter().filter(|tensor| tensor.name == *name).collect();
                if found.is_empty() {
                    let there = text::list(tensors.iter().map(|tensor| &*tensor.name));
                    let reason = format!("there is no tensor '{}', only {there}", text::name(name));
                    return Err(Error::file(path, reason));
                }
                found
            }
            None => tensors.iter().collect(),
        };
        let &[tensor] = &found[..] else {
            let reason = format!("{0} holds {1} tensors; name one, as {0}:NAME", text::path(path), found.len());
            return Err(Error::usage(flag, reason));
        };
        let Some(dtype) = element::computed(tensor.dtype) else {
            let (name, dtype) = (text::name(&tensor.name), element::name(tensor.dtype));
            return Err(Error::file(path, format!("tensor '{name}': elements of {dtype} are not computed with")));
        };
        let data = expect_memory(tensor.len).and_then(|()| tensor.read(0, tensor.len));
        let data = data.map_err(|error| Error::file(path, error))?;
        read.iter().try_for_each(Read::expect_unchanged)?;
        Ok((element::message(dtype, &tensor.shape, data), read))
    }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

    use super::*;

    fn parse(text: &str) -> (String, Option<String>) {
        let TensorPath { path, name } = TensorPath::parse(OsStr::new(text)).expect("text is UTF-8");
        (path.display().to_string(), name)
    }

    #[test]
    fn a_name_follows_the_extension() {
        assert_eq!(parse("a/w.npy"), ("a/w.npy".to_owned(), None));
        assert_eq!(parse("a:b/w.safetensors"), ("a:b/w.safetensors".to_owned(), None));
        assert_eq!(parse("c:/w.safetensors:ln.weight"), ("c:/w.safetensors".to_owned(), Some("ln.weight".to_owned())));
        assert_eq!(parse("w.safetensors:a:b"), ("w.safetensors".to_owned(), Some("a:b".to_owned())));
    }

    #[test]
    fn a_path_need_not_be_text_and_a_name_is() {
        let path = |bytes: &[u8]| TensorPath::parse(&OsString::from_vec(bytes.to_vec()));
        assert!(path(b"\xff.npy").is_ok_and(|it| it.path.as_os_str().as_bytes() == b"\xff.npy" && it.name.is_none()));
        let named = path(b"\xff.safetensors:a").expect("the name is text");
        assert_eq!(named.path.as_os_str().as_bytes(), b"\xff.safetensors");
        assert_eq!(named.name.as_deref(), Some("a"));
        assert!(path(b"a.safetensors:\xff").is_err_and(|error| error.contains("UTF-8")));
    }

    #[test]
    fn formats_are_told_by_the_end_of_the_name() {
        for (path, format) in [
            ("a.npy", Some(Format::Npy)),
            ("a.safetensors", Some(Format::Safetensors)),
            ("a/model.safetensors.index.json", Some(Format::Index)),
            ("a.json", None),
            ("npy", None),
            ("-", None),
        ] {
            assert_eq!(Format::of(Path::new(path)), format, "{path}");
        }
    }
}
