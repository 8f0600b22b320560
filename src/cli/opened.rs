//! The files that a command reads, and those that it writes.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::{
    error::{Error, Named},
    files::{self, Contents, Form, Format, Identity, Input, Output, Read, Selection, Stored, Target, element},
    outputs::Outputs,
    run::Destination,
    tasks::blocking,
    text,
};

/// The tensors that are read, and the files for the results.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    files: Vec<File>,
    /// Indexes of shards, and what they are to hold.
    indexes: Vec<(Target, String)>,
    /// Files that were opened beside those of `files`.
    read: Vec<Read>,
}

/// The tensors for one file of results.
#[derive(Clone, Debug)]
struct File {
    /// The file that they were read from.
    path: PathBuf,
    contents: Contents,
    target: Target,
    /// Of the input.
    format: Format,
    /// Of each tensor, whether it is computed with; the others are passed on.
    computed: Vec<bool>,
}

/// A tensor that is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    /// The file that it is in.
    pub(super) path: &'a Path,
    pub(super) tensor: &'a Stored,
    /// Whether it is computed with.
    pub(super) computed: bool,
}

impl<'a> Entry<'a> {
    /// The path of its file and its name, for errors.
    pub(super) fn named(&self) -> Named<'a> {
        (self.path, &self.tensor.name)
    }
}

impl Opened {
    /// Reads headers, and checks that the results may be written.
    ///
    /// # Errors
    /// A file cannot be read; a result would overwrite a file that is read, or another; nothing would be computed; a format
    /// cannot hold a result.
    pub(super) fn read(
        paths: &[PathBuf],
        outputs: &Outputs,
        operation: &str,
        selection: &Selection<'_>,
        takes: fn(usize) -> bool,
    ) -> Result<Self, Error> {
        let inputs = read_all(paths, outputs, operation, selection)?;
        let mut opened = Self { files: Vec::new(), indexes: Vec::new(), read: Vec::new() };
        for (path, input) in inputs {
            let computed = |contents: &Contents| {
                let is_computed =
                    |tensor: &Stored| element::computed(tensor.dtype).is_some() && takes(tensor.shape.len());
                contents.tensors.iter().map(is_computed).collect()
            };
            match input {
                Input::Shards(shards) => {
                    let text = shards.text();
                    opened.indexes.extend(outputs.index(&path).map(|target| (target, text)));
                    opened.read.push(shards.read);
                    let format = Format::Safetensors;
                    for (path, contents) in shards.files {
                        let computed = computed(&contents);
                        let target = outputs.target(&path, operation, format)?;
                        opened.files.push(File { path, contents, target, format, computed });
                    }
                }
                Input::One(contents, format) => {
                    let (target, computed) = (outputs.target(&path, operation, format)?, computed(&contents));
                    opened.files.push(File { path, contents, target, format, computed });
                }
            }
        }
        opened.expect_work()?;
        opened.expect_apart()?;
        for File { contents, target, .. } in &opened.files {
            target.lay_out(&contents.forms(), contents)?;
        }
        Ok(opened)
    }

    /// Refuses tensors of which none is computed with.
    fn expect_work(&self) -> Result<(), Error> {
        if self.tensors().any(|entry| entry.computed) {
            return Ok(());
        }
        let Some(Entry { path, tensor: first, .. }) = self.tensors().next() else { return Ok(()) };
        let reason = format!(
            "there is nothing to compute: tensor '{}', {} of shape {:?}, would be copied unchanged, and so would all others",
            text::name(&first.name),
            element::name(first.dtype),
            first.shape
        );
        Err(Error::file(path, reason))
    }

    /// Refuses results that would overwrite what is read, or each other.
    fn expect_apart(&self) -> Result<(), Error> {
        let mut written: HashMap<Identity, &Target> = HashMap::new();
        for target in self.targets() {
            target.keep_off_inputs(self.inputs())?;
            target.keep_off_read(self.read_files())?;
            if let Some(before) = Identity::of(target.path()).and_then(|identity| written.insert(identity, target)) {
                target.keep_off_output(before)?;
            }
        }
        Ok(())
    }

    /// All tensors, in the order of the files.
    pub(super) fn tensors(&self) -> impl Iterator<Item = Entry<'_>> {
        self.files.iter().flat_map(|File { path, contents, computed, .. }| {
            contents.tensors.iter().zip(computed).map(|(tensor, computed)| Entry { path, tensor, computed: *computed })
        })
    }

    /// An error that concerns all inputs.
    pub(super) fn error(&self, reason: String) -> Error {
        match &self.files[..] {
            [file] => Error::file(&file.path, reason),
            _ => Error::usage("INPUT", reason),
        }
    }

    /// Whether a name may be that of several tensors, in several files.
    pub(super) fn is_several(&self) -> bool {
        self.files.len() > 1
    }

    /// The files of the results.
    pub(super) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.files.iter().map(|file| &file.target).chain(self.indexes.iter().map(|(target, _)| target))
    }

    /// The paths that were read from.
    pub(super) fn inputs(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| &*file.path)
    }

    /// All files that were opened.
    pub(super) fn read_files(&self) -> impl Iterator<Item = &Read> {
        self.files.iter().flat_map(|file| &file.contents.read).chain(&self.read)
    }

    /// The format for another file beside the results, if its name does not tell it: the first input's.
    pub(super) fn format(&self) -> Format {
        self.files.first().map_or(Format::Safetensors, |file| file.format)
    }

    /// The bytes of all tensors.
    pub(super) fn bytes(&self) -> u64 {
        self.tensors().map(|entry| entry.tensor.len as u64).sum()
    }

    /// Opens the files of the results, and returns the destination of each tensor.
    pub(super) async fn create(&self) -> Result<(Vec<Output>, Vec<Destination>), Error> {
        let (mut outputs, mut destinations) = (Vec::new(), Vec::new());
        for File { contents, target, .. } in &self.files {
            let (output, places) = create(target.clone(), contents.forms(), contents.clone()).await?;
            outputs.push(output);
            destinations.extend(places);
        }
        for (target, text) in self.indexes.clone() {
            let write = move || {
                let output = target.open(text.len() as u64)?;
                output.writer().write(0, text.as_bytes())?;
                Ok(output)
            };
            outputs.push(blocking(write).await?);
        }
        Ok((outputs, destinations))
    }

    /// Refuses files that have changed since they were opened.
    pub(super) fn expect_unchanged(&self) -> Result<(), Error> {
        self.read_files().try_for_each(Read::expect_unchanged)
    }
}

/// Reads the headers of all inputs, without the tensors that the selection leaves out.
fn read_all(
    paths: &[PathBuf],
    outputs: &Outputs,
    operation: &str,
    selection: &Selection<'_>,
) -> Result<Vec<(PathBuf, Input)>, Error> {
    let mut inputs = Vec::with_capacity(paths.len());
    for path in paths {
        // Errors that do not depend on the input come before it is read: it may be a pipe that takes long.
        if let Some(format) = Format::of(path).filter(|format| *format != Format::Index || !outputs.keep_shards()) {
            outputs.target(path, operation, format)?.keep_off_inputs([path.as_path()])?;
        }
        let input = files::read("INPUT", path)?;
        if let (Format::Npy, Some(flag)) = (input.format(), selection.flag()) {
            return Err(Error::usage(flag, format!("{} holds one tensor, without a name", text::path(path))));
        }
        // The tensors of an index are selected together, unless each shard has a result of its own.
        inputs.push((path.clone(), if outputs.keep_shards() { input } else { input.joined() }));
    }
    selection.take(&mut inputs)?;
    Ok(inputs)
}

/// Opens a file for tensors of these forms, with the metadata of `contents`, and returns their
/// destinations.
pub(super) async fn create(
    target: Target,
    forms: Vec<Form>,
    contents: Contents,
) -> Result<(Output, Vec<Destination>), Error> {
    blocking(move || {
        let (header, offsets) = target.lay_out(&forms, &contents)?;
        let len = header.len() as u64 + forms.iter().map(|form| form.len as u64).sum::<u64>();
        let output = target.open(len)?;
        let writer = output.writer();
        writer.write(0, &header)?;
        let destinations = offsets.into_iter().map(|offset| Destination { writer: writer.clone(), offset });
        let destinations = destinations.collect();
        Ok((output, destinations))
    })
    .await
}
