//! Work on one piece: reading it, writing its result, and comparing the two.

use bytes::Bytes;
use evenkeel_client::{self as client, DType};
use evenkeel_proto::v1 as pb;

use super::{
    error::{Error, Named},
    files::{Stored, Writer, element},
    pieces::{Region, TARGET},
    progress::Progress,
    summary::{Summary, changed},
    tasks::blocking,
};

/// Reads a piece of a tensor.
pub(super) async fn read(tensor: &Stored, region: Region, progress: &Progress) -> Result<Bytes, Error> {
    let (tensor, progress) = (tensor.clone(), progress.clone());
    blocking(move || read_here(&tensor, region, &progress)).await
}

/// As [`read`], on this thread.
pub(super) fn read_here(tensor: &Stored, region: Region, progress: &Progress) -> Result<Bytes, Error> {
    let bytes = region.read(tensor).map_err(|error| Error::reading(&tensor.name, error))?;
    progress.has_read(bytes.len());
    Ok(bytes)
}

/// Where a tensor of the result goes.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    pub(super) writer: Writer,
    pub(super) offset: u64,
}

/// The figures of a tensor in the report.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Comparison {
    pub(super) before: Summary,
    pub(super) after: Summary,
    /// How many elements differ.
    pub(super) changed: u64,
}

impl Comparison {
    pub(super) fn merge(&mut self, other: &Self) {
        self.before.merge(&other.before);
        self.after.merge(&other.after);
        self.changed += other.changed;
    }
}

/// The figures to compute while the bytes are in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tell {
    /// Nothing: no report is printed.
    Nothing,
    /// Mean, deviation and norm, before and after.
    Summaries,
    /// Also how many elements differ.
    Changes,
}

/// Writes the result of a piece, and compares it with the piece.
pub(super) fn write(
    (region, to): (Region, &Destination),
    (dtype, tell): (DType, Tell),
    (before, after): (&[u8], &[u8]),
    progress: &Progress,
) -> Result<Comparison, Error> {
    region.write(&to.writer, to.offset, after)?;
    let comparison = match tell {
        Tell::Nothing => Comparison::default(),
        Tell::Summaries | Tell::Changes => {
            let old = Summary::of(dtype, before);
            let (new, changed) = if before == after {
                (old, 0)
            } else {
                let changed = if tell == Tell::Changes { changed(dtype, before, after) } else { 0 };
                (Summary::of(dtype, after), changed)
            };
            Comparison { before: old, after: new, changed }
        }
    };
    progress.has_written(after.len());
    Ok(comparison)
}

/// Copies a tensor that is passed on as it is.
pub(super) async fn pass_on(
    tensor: Stored,
    to: Destination,
    tell: bool,
    progress: Progress,
) -> Result<Option<Summary>, Error> {
    blocking(move || {
        let mut summary: Option<Summary> = None;
        for start in (0..tensor.len).step_by(TARGET) {
            let region = Region::run(start, TARGET.min(tensor.len - start));
            let bytes = region.read(&tensor).map_err(|error| Error::reading(&tensor.name, error))?;
            progress.has_read(bytes.len());
            if let Some(dtype) = element::computed(tensor.dtype).filter(|_| tell) {
                summary.get_or_insert_default().merge(&Summary::of(dtype, &bytes));
            }
            region.write(&to.writer, to.offset, &bytes)?;
            progress.has_written(bytes.len());
        }
        Ok(summary)
    })
    .await
}

/// The reason why a piece has no result: an error of the command, or that of a call, which does not name flags and
/// files yet.
#[derive(Debug)]
pub(super) enum Failure {
    Here(Error),
    Call(client::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Here(error)
    }
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        Self::Call(error)
    }
}

impl Failure {
    /// The error, in which the tensors that were sent are named.
    pub(super) fn of_tensors(self, sent: &[Named<'_>]) -> Error {
        match self {
            Self::Here(error) => error,
            Self::Call(error) => Error::of_call(error, sent),
        }
    }
}

/// An answer that is not what the contract says.
pub(super) fn broken(field: &str, reason: impl Into<String>) -> Failure {
    Failure::Call(client::Error::Protocol { field: field.to_owned(), reason: reason.into() })
}

/// The bytes of a response's tensor, which must have the type and the length of the one that was sent.
pub(super) fn answered(field: &str, tensor: Option<pb::Tensor>, dtype: DType, sent: &Bytes) -> Result<Bytes, Failure> {
    let tensor = tensor.ok_or_else(|| broken(field, "is missing"))?;
    if element::from_wire(tensor.dtype) != Some(dtype) {
        return Err(broken(field, format!("is not of {dtype}, as what was sent")));
    }
    if tensor.data.len() != sent.len() {
        return Err(broken(field, format!("has {} bytes where {} were sent", tensor.data.len(), sent.len())));
    }
    Ok(tensor.data)
}
