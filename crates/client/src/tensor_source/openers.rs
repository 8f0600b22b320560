//! What opens readers of tensors in memory, and of readers that are open already.

use std::{
    fmt,
    future::{Ready, ready},
    io,
};

use ndarray::{ArrayView, Dimension};
use tokio::io::AsyncRead;

use super::Open;
use crate::{ArrayReader, Element, Tensor};

/// A reader of any type: for lists whose tensors come from different ones.
pub type BoxReader<'a> = Box<dyn AsyncRead + Send + Unpin + 'a>;

/// Gives a reader that is open already, once.
#[derive(Clone, Debug)]
pub struct Once<R>(Option<R>);

impl<R> Once<R> {
    pub(super) fn new(reader: R) -> Self {
        Self(Some(reader))
    }
}

impl<R: AsyncRead + Unpin> Open for Once<R> {
    type Reader = R;
    type Opening = Ready<io::Result<R>>;

    fn open(&mut self) -> Self::Opening {
        ready(self.0.take().ok_or_else(|| {
            io::Error::other("the reader was read before: two passes need a `TensorSource` that can be opened twice")
        }))
    }
}

/// Reads an array or a view of any memory layout.
pub struct ArrayOpener<'a, A, D>(ArrayView<'a, A, D>);

impl<A, D: Dimension> Clone for ArrayOpener<'_, A, D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A, D> fmt::Debug for ArrayOpener<'_, A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrayOpener").finish_non_exhaustive()
    }
}

impl<'a, A, D: Dimension> ArrayOpener<'a, A, D> {
    pub(super) fn new(view: ArrayView<'a, A, D>) -> Self {
        Self(view)
    }
}

impl<'a, A: Element, D: Dimension> Open for ArrayOpener<'a, A, D> {
    type Reader = ArrayReader<'a, A, D>;
    type Opening = Ready<io::Result<ArrayReader<'a, A, D>>>;

    fn open(&mut self) -> Self::Opening {
        ready(Ok(ArrayReader::new(self.0.clone())))
    }
}

/// Reads a [`Tensor`].
#[derive(Clone, Debug)]
pub struct TensorOpener<'a>(&'a Tensor);

impl<'a> TensorOpener<'a> {
    pub(super) fn new(tensor: &'a Tensor) -> Self {
        Self(tensor)
    }
}

impl<'a> Open for TensorOpener<'a> {
    type Reader = BoxReader<'a>;
    type Opening = Ready<io::Result<BoxReader<'a>>>;

    fn open(&mut self) -> Self::Opening {
        ready(Ok(match self.0 {
            Tensor::F32(array) => Box::new(ArrayReader::new(array.view())),
            Tensor::F64(array) => Box::new(ArrayReader::new(array.view())),
            Tensor::F16(array) => Box::new(ArrayReader::new(array.view())),
            Tensor::Bf16(array) => Box::new(ArrayReader::new(array.view())),
        }))
    }
}
