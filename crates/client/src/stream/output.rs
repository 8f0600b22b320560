//! Where the bytes of a result go.

use bytes::Bytes;
use evenkeel_proto::v1 as pb;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::{Error, Tensor, codec::Elements, fault::Fault};

pub(crate) enum Sink<W> {
    Writer(W),
    /// An array, which has room for all of them.
    Memory(Elements),
}

impl<W> Sink<W> {
    /// The elements, if they went to an array.
    pub(crate) fn into_tensor(self) -> Option<Tensor> {
        match self {
            Self::Writer(_) => None,
            Self::Memory(elements) => Some(elements.into_tensor()),
        }
    }
}

/// A result of which every byte must come, and no more.
pub(crate) struct Output<W> {
    field: String,
    sink: Sink<W>,
    missing: u64,
}

impl<W: AsyncWrite + Unpin> Output<W> {
    /// `field` is the one whose bytes these are.
    pub(crate) fn new(field: impl Into<String>, sink: Sink<W>, len: u64) -> Self {
        Self { field: field.into(), sink, missing: len }
    }

    /// Takes the next bytes, and waits until they are written.
    ///
    /// # Errors
    /// There are more than are missing; or the writer's.
    pub(crate) async fn take(&mut self, mut bytes: Bytes) -> Result<(), Fault> {
        let len = bytes.len() as u64;
        let Some(missing) = self.missing.checked_sub(len) else {
            let reason = format!("has {len} bytes where {} are missing", self.missing);
            return Err(Fault::protocol(self.field.clone(), reason));
        };
        self.missing = missing;
        match &mut self.sink {
            Sink::Writer(writer) => writer.write_all(&bytes).await.map_err(Fault::write),
            Sink::Memory(elements) => {
                elements.fill(&mut bytes);
                Ok(())
            }
        }
    }

    /// Flushes the writer, once all bytes are there.
    ///
    /// # Errors
    /// They are not; or the writer's.
    pub(crate) async fn complete(&mut self) -> Result<(), Fault> {
        if self.missing > 0 {
            return Err(Fault::protocol(self.field.clone(), format!("lacks the last {} bytes", self.missing)));
        }
        if let Sink::Writer(writer) = &mut self.sink {
            writer.flush().await.map_err(Fault::write)?;
        }
        Ok(())
    }

    pub(crate) fn into_sink(self) -> Sink<W> {
        self.sink
    }
}

/// Whether a response describes the tensor that was sent.
///
/// # Errors
/// It does not.
pub(crate) fn expect_description(field: &str, given: Option<pb::Tensor>, sent: &pb::Tensor) -> Result<(), Error> {
    let Some(pb::Tensor { name, dtype, shape, float_data, data }) = given else {
        return Err(Error::protocol(field, "is missing"));
    };
    let differs = |part: &str, reason: String| Err(Error::protocol(format!("{field}.{part}"), reason));
    if name != sent.name {
        return differs("name", format!("is {name:?} where {:?} was sent", sent.name));
    }
    if dtype != sent.dtype {
        return differs("dtype", format!("is {dtype} where {} was sent", sent.dtype));
    }
    if shape != sent.shape {
        return differs("shape", format!("is {shape:?} where {:?} was sent", sent.shape));
    }
    if !data.is_empty() || !float_data.is_empty() {
        return differs("data", "has elements, which do not belong in a header".to_owned());
    }
    Ok(())
}
