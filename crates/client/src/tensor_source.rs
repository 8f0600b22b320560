//! Tensors whose elements are read when they are sent, from readers that are opened when their turn comes, once or more often.

mod openers;

use std::io;

use evenkeel_proto::v1 as pb;
use ndarray::{ArrayBase, ArrayView, Data, Dimension};
use tokio::io::AsyncRead;

pub use self::openers::{ArrayOpener, BoxReader, Once, TensorOpener};
use crate::{DType, Element, Tensor, TensorReader};

/// Opens a reader of the same bytes, again and again: a closure without arguments that returns a future of a reader, such as
/// `|| File::open(path)`.
pub trait Open {
    /// What it opens.
    type Reader: AsyncRead + Unpin;
    /// The opening.
    type Opening: Future<Output = io::Result<Self::Reader>>;

    /// Opens a reader, which gives the bytes from the first.
    fn open(&mut self) -> Self::Opening;
}

impl<F, O, R> Open for F
where
    F: FnMut() -> O,
    O: Future<Output = io::Result<R>>,
    R: AsyncRead + Unpin,
{
    type Reader = R;
    type Opening = O;

    fn open(&mut self) -> O {
        self()
    }
}

/// A tensor whose elements come from a reader, such as a file, that is opened when its turn to be sent comes. In two passes it
/// is opened twice. Only some chunks of it are in memory.
///
/// Arrays and views of any memory layout, and borrowed [`Tensor`]s, turn into one without being copied. A [`TensorReader`] turns
/// into one that can be opened once.
#[derive(Clone, Debug)]
pub struct TensorSource<O> {
    form: TensorReader<()>,
    open: O,
}

impl<O: Open> TensorSource<O> {
    /// The readers give the elements in row-major order, little-endian: `product(shape) * dtype.size()` bytes. What they have
    /// beyond them is not read.
    ///
    /// ```
    /// use evenkeel_client::{DType, TensorSource};
    ///
    /// let path = std::path::Path::new("gradient.bin");
    /// let source = TensorSource::new(DType::F32, [1000, 1000], || tokio::fs::File::open(path));
    /// assert_eq!(source.shape(), [1000, 1000]);
    /// ```
    pub fn new(dtype: DType, shape: impl Into<Vec<usize>>, open: O) -> Self {
        Self { form: TensorReader::new(dtype, shape, ()), open }
    }
}

impl<O> TensorSource<O> {
    /// The element type.
    pub fn dtype(&self) -> DType {
        self.form.dtype()
    }

    /// The dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        self.form.shape()
    }

    /// The tensor without elements.
    pub(crate) fn describe(&self) -> pb::Tensor {
        self.form.describe()
    }

    /// The bytes of all elements.
    pub(crate) fn byte_len(&self) -> u64 {
        self.form.byte_len()
    }

    pub(crate) fn into_opener(self) -> O {
        self.open
    }
}

/// It can be opened once: the second of two passes fails with [`Error::Read`](crate::Error::Read).
impl<R: AsyncRead + Unpin> From<TensorReader<R>> for TensorSource<Once<R>> {
    fn from(tensor: TensorReader<R>) -> Self {
        let (dtype, shape) = (tensor.dtype(), tensor.shape().to_vec());
        Self::new(dtype, shape, Once::new(tensor.into_reader()))
    }
}

impl<'a, A: Element, D: Dimension> From<ArrayView<'a, A, D>> for TensorSource<ArrayOpener<'a, A, D>> {
    fn from(view: ArrayView<'a, A, D>) -> Self {
        Self::new(A::DTYPE, view.shape().to_vec(), ArrayOpener::new(view))
    }
}

impl<'a, A: Element, S: Data<Elem = A>, D: Dimension> From<&'a ArrayBase<S, D>>
    for TensorSource<ArrayOpener<'a, A, D>>
{
    fn from(array: &'a ArrayBase<S, D>) -> Self {
        array.view().into()
    }
}

impl<'a> From<&'a Tensor> for TensorSource<TensorOpener<'a>> {
    fn from(tensor: &'a Tensor) -> Self {
        Self::new(tensor.dtype(), tensor.shape().to_vec(), TensorOpener::new(tensor))
    }
}

/// A gradient that is read when it is sent, and the name of its parameter. A pair of a name and what converts into a
/// [`TensorSource`] converts into one.
#[derive(Clone, Debug)]
pub struct GradientSource<O> {
    /// The name. May be empty, and need not be unique.
    pub name: String,
    /// The gradient.
    pub tensor: TensorSource<O>,
}

impl<N: Into<String>, T: Into<TensorSource<O>>, O> From<(N, T)> for GradientSource<O> {
    fn from((name, tensor): (N, T)) -> Self {
        Self { name: name.into(), tensor: tensor.into() }
    }
}
