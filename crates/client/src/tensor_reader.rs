//! Tensors whose elements are read when they are sent.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use evenkeel_proto::v1 as pb;
use ndarray::{ArrayBase, ArrayView, Data, Dimension, iter::Iter};
use tokio::io::{AsyncRead, ReadBuf};

use crate::{DType, Element};

/// A tensor whose elements come from a reader, such as a file, when they are sent. Only some chunks of it are in memory.
///
/// Arrays and views of any memory layout turn into one without being copied.
#[derive(Clone, Debug)]
pub struct TensorReader<R> {
    dtype: DType,
    shape: Vec<usize>,
    reader: R,
}

impl<R> TensorReader<R> {
    /// The reader gives the elements in row-major order, little-endian: `product(shape) * dtype.size()` bytes. What it has
    /// beyond them is not read.
    pub fn new(dtype: DType, shape: impl Into<Vec<usize>>, reader: R) -> Self {
        Self { dtype, shape: shape.into(), reader }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The bytes of all elements. The server refuses a shape for which this is beyond all numbers.
    pub(crate) fn byte_len(&self) -> u64 {
        if self.shape.contains(&0) {
            return 0;
        }
        let size = self.dtype.size() as u64;
        self.shape.iter().fold(size, |bytes, &dim| bytes.saturating_mul(dim as u64))
    }

    /// The tensor without elements.
    pub(crate) fn describe(&self) -> pb::Tensor {
        let shape = self.shape.iter().map(|&dim| i64::try_from(dim).unwrap_or(i64::MAX)).collect();
        pb::Tensor { dtype: self.dtype.to_wire().into(), shape, ..Default::default() }
    }

    pub(crate) fn into_reader(self) -> R {
        self.reader
    }
}

impl<'a, A: Element, D: Dimension> From<ArrayView<'a, A, D>> for TensorReader<ArrayReader<'a, A, D>> {
    fn from(view: ArrayView<'a, A, D>) -> Self {
        let shape = view.shape().to_vec();
        Self::new(A::DTYPE, shape, ArrayReader::new(view))
    }
}

impl<'a, A: Element, S: Data<Elem = A>, D: Dimension> From<&'a ArrayBase<S, D>>
    for TensorReader<ArrayReader<'a, A, D>>
{
    fn from(array: &'a ArrayBase<S, D>) -> Self {
        array.view().into()
    }
}

/// Reads the elements of an array, of any memory layout, in row-major order, little-endian. It never waits.
pub struct ArrayReader<'a, A, D>(Elements<'a, A, D>);

enum Elements<'a, A, D> {
    /// They lie in memory as they are read.
    InOrder(&'a [u8]),
    /// They do not.
    OneByOne(OneByOne<'a, A, D>),
}

struct OneByOne<'a, A, D> {
    elements: Iter<'a, A, D>,
    /// The last bytes of an element that was cut, at the end.
    cut: Vec<u8>,
}

impl<'a, A: Element, D: Dimension> ArrayReader<'a, A, D> {
    /// A reader of all elements of the view.
    pub fn new(view: ArrayView<'a, A, D>) -> Self {
        Self(match view.to_slice() {
            Some(elements) if cfg!(target_endian = "little") => Elements::InOrder(bytemuck::must_cast_slice(elements)),
            Some(_) | None => Elements::OneByOne(OneByOne { elements: view.into_iter(), cut: Vec::new() }),
        })
    }
}

impl<A: Element, D: Dimension> OneByOne<'_, A, D> {
    fn fill(&mut self, buffer: &mut ReadBuf<'_>) {
        let size = size_of::<A>();
        let here = self.cut.len().min(buffer.remaining());
        buffer.put_slice(&self.cut[..here]);
        self.cut.drain(..here);
        while buffer.remaining() >= size
            && let Some(element) = self.elements.next()
        {
            buffer.put_slice(bytemuck::bytes_of(&element.swap_on_big_endian()));
        }
        let room = buffer.remaining();
        if room > 0
            && room < size
            && let Some(element) = self.elements.next()
        {
            let element = element.swap_on_big_endian();
            let (here, rest) = bytemuck::bytes_of(&element).split_at(room);
            buffer.put_slice(here);
            self.cut.extend_from_slice(rest);
        }
    }
}

/// Nothing in it is pinned.
impl<A, D> Unpin for ArrayReader<'_, A, D> {}

impl<A: Element, D: Dimension> AsyncRead for ArrayReader<'_, A, D> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Elements::InOrder(bytes) => Pin::new(bytes).poll_read(cx, buffer),
            Elements::OneByOne(elements) => {
                elements.fill(buffer);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl<A: Element, D: Dimension> fmt::Debug for ArrayReader<'_, A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrayReader").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, ArrayView3, s};
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn bytes_are_those_of_the_standard_layout_however_they_are_read() {
        let x = Array3::from_shape_fn((3, 4, 5), |(i, j, k)| (100 * i + 10 * j + k) as f32);
        let views: [ArrayView3<'_, f32>; 5] =
            [x.view(), x.t(), x.slice(s![..;-1, .., ..;2]), x.slice(s![1..2, .., ..]), x.slice(s![.., 0..0, ..])];
        for view in views {
            let expected: Vec<u8> = view.iter().flat_map(|x| x.to_le_bytes()).collect();
            let tensor = TensorReader::from(view);
            assert_eq!((tensor.byte_len(), tensor.shape()), (expected.len() as u64, view.shape()));
            for step in 1..=9 {
                let mut reader = ArrayReader::new(view);
                let (mut bytes, mut buffer) = (Vec::new(), vec![0; step]);
                loop {
                    let read = reader.read(&mut buffer).await.expect("memory can be read");
                    assert!(read == step || bytes.len() + read == expected.len(), "it is full until the end");
                    bytes.extend_from_slice(&buffer[..read]);
                    if read == 0 {
                        break;
                    }
                }
                assert_eq!(bytes, expected, "strides {:?} by {step}", view.strides());
            }
        }
    }

    #[test]
    fn shapes_beyond_all_numbers_are_no_trouble() {
        let len = |shape: &[usize]| TensorReader::new(DType::F64, shape, ()).byte_len();
        assert_eq!((len(&[usize::MAX, 3]), len(&[usize::MAX, 9, 0]), len(&[])), (u64::MAX, 0, 8));
    }
}
