//! Dense tensors as the wire has them: a dtype, a shape and little-endian bytes in row-major order.

use ndarray::{ArrayBase, ArrayD, Data, Dimension, IxDyn};

use crate::{DType, Element};

/// The bytes do not fill the shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthMismatch {
    /// The number of bytes that dtype and shape need; `None` if it does not fit `usize`.
    pub expected: Option<usize>,
    /// The number of bytes that were given.
    pub given: usize,
}

/// A borrowed tensor. The bytes may start at any address; kernels never assume alignment.
#[derive(Clone, Copy, Debug)]
pub struct TensorRef<'a> {
    dtype: DType,
    shape: &'a [usize],
    data: &'a [u8],
}

impl<'a> TensorRef<'a> {
    /// A view of `data` as little-endian elements in row-major order; an empty shape is a scalar.
    ///
    /// # Errors
    /// [`LengthMismatch`] unless `data` is exactly `product(shape) * dtype.size()` bytes long.
    pub fn new(dtype: DType, shape: &'a [usize], data: &'a [u8]) -> Result<Self, LengthMismatch> {
        let expected = shape.iter().try_fold(dtype.size(), |bytes, &dim| bytes.checked_mul(dim));
        if expected == Some(data.len()) {
            Ok(Self { dtype, shape, data })
        } else {
            Err(LengthMismatch { expected, given: data.len() })
        }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The dimensions, outermost first.
    pub fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// The elements' bytes.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The elements as float64, in row-major order.
    pub fn to_f64(&self) -> Vec<f64> {
        let mut values = vec![0.0; self.len()];
        crate::decode(self.dtype, self.data, &mut values);
        values
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.data.len() / self.dtype.size()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }
}

/// A borrowed tensor whose elements may be replaced.
#[derive(Debug)]
pub struct TensorMut<'a> {
    dtype: DType,
    shape: &'a [usize],
    data: &'a mut [u8],
}

impl<'a> TensorMut<'a> {
    /// As [`TensorRef::new`].
    ///
    /// # Errors
    /// [`LengthMismatch`] unless `data` is exactly `product(shape) * dtype.size()` bytes long.
    pub fn new(dtype: DType, shape: &'a [usize], data: &'a mut [u8]) -> Result<Self, LengthMismatch> {
        TensorRef::new(dtype, shape, data)?;
        Ok(Self { dtype, shape, data })
    }

    /// A view of the elements as they are now.
    pub fn view(&self) -> TensorRef<'_> {
        TensorRef { dtype: self.dtype, shape: self.shape, data: self.data }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The dimensions, outermost first.
    pub fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// The elements' bytes, to be replaced.
    pub fn data_mut(&mut self) -> &mut [u8] {
        self.data
    }
}

/// An owned tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    dtype: DType,
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl Tensor {
    /// The callers have just computed `data` for this shape.
    pub(crate) fn from_parts(dtype: DType, shape: Vec<usize>, data: Vec<u8>) -> Self {
        debug_assert_eq!(data.len(), shape.iter().product::<usize>() * dtype.size());
        Self { dtype, shape, data }
    }

    /// Rounds float64 `values` to `dtype`.
    pub(crate) fn from_f64(dtype: DType, shape: Vec<usize>, values: &[f64]) -> Self {
        let mut data = vec![0; values.len() * dtype.size()];
        crate::dtype::encode(dtype, values, &mut data);
        Self::from_parts(dtype, shape, data)
    }

    /// Takes little-endian elements in row-major order.
    ///
    /// # Errors
    /// [`LengthMismatch`] unless `data` is exactly `product(shape) * dtype.size()` bytes long.
    pub fn from_bytes(dtype: DType, shape: Vec<usize>, data: Vec<u8>) -> Result<Self, LengthMismatch> {
        TensorRef::new(dtype, &shape, &data)?;
        Ok(Self { dtype, shape, data })
    }

    /// Copies an array, whatever its memory layout, in logical order.
    pub fn from_array<E: Element, S: Data<Elem = E>, D: Dimension>(array: &ArrayBase<S, D>) -> Self {
        let data = array.iter().flat_map(|&x| x.to_le_bytes()).collect();
        Self::from_parts(E::DTYPE, array.shape().to_vec(), data)
    }

    /// The elements as an array; `None` if `E` is not the element type.
    pub fn to_array<E: Element>(&self) -> Option<ArrayD<E>> {
        let elements = self.data.chunks_exact(E::DTYPE.size()).map(E::from_le_bytes).collect();
        (E::DTYPE == self.dtype)
            .then(|| ArrayD::from_shape_vec(IxDyn(&self.shape), elements).expect("the data fills the shape"))
    }

    /// A view.
    pub fn view(&self) -> TensorRef<'_> {
        TensorRef { dtype: self.dtype, shape: &self.shape, data: &self.data }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements' bytes, little-endian, row-major.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Takes the shape and the bytes apart.
    pub fn into_parts(self) -> (DType, Vec<usize>, Vec<u8>) {
        (self.dtype, self.shape, self.data)
    }
}
