//! An array whose element type and number of dimensions are known only at run time.

use bytes::Bytes;
use half::{bf16, f16};
use ndarray::{Array, ArrayBase, ArrayD, ArrayViewD, Data, Dimension};

use crate::{DType, Element, codec};

/// An array of one of the four element types: a tensor beside the input of a call, or its counterpart in the result.
///
/// Every array converts into one, borrowed (copied) or owned (moved), and it converts back with [`TryFrom`]:
///
/// ```
/// use evenkeel_client::{DType, Mismatch, Tensor, half::bf16};
/// use ndarray::{Array1, Array2, array};
///
/// let tensor = Tensor::from(array![[1.0_f32, 2.0], [3.0, 4.0]]);
/// assert_eq!(tensor.dtype(), DType::F32);
/// assert_eq!(tensor.shape(), [2, 2]);
///
/// let wrong = Array1::<f32>::try_from(tensor.clone());
/// assert_eq!(wrong, Err(Mismatch::Rank { expected: 1, given: 2 }));
/// let wrong = Array2::<bf16>::try_from(tensor.clone());
/// assert_eq!(wrong, Err(Mismatch::DType { expected: DType::Bf16, given: DType::F32 }));
/// assert_eq!(Array2::<f32>::try_from(tensor), Ok(array![[1.0, 2.0], [3.0, 4.0]]));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Tensor {
    /// Elements of [`f32`].
    F32(ArrayD<f32>),
    /// Elements of [`f64`].
    F64(ArrayD<f64>),
    /// Elements of [`half::f16`].
    F16(ArrayD<f16>),
    /// Elements of [`half::bf16`].
    Bf16(ArrayD<bf16>),
}

/// A [`Tensor`] is not the array that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The elements are of another type.
    #[error("expected elements of {expected} and got {given}")]
    DType {
        /// The type that was asked for.
        expected: DType,
        /// The type of the tensor.
        given: DType,
    },
    /// The number of dimensions is another.
    #[error("expected {expected} dimensions and got {given}")]
    Rank {
        /// The number that was asked for.
        expected: usize,
        /// The number of dimensions of the tensor.
        given: usize,
    },
}

/// Bytes do not fill a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {} bytes and got {given}", .expected.map_or_else(|| "more than memory has".to_owned(), |it| it.to_string()))]
pub struct LengthMismatch {
    /// The number of bytes that element type and shape need; `None` if no memory is that large.
    pub expected: Option<usize>,
    /// The number of bytes that were given.
    pub given: usize,
}

impl Tensor {
    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::F64(_) => DType::F64,
            Self::F16(_) => DType::F16,
            Self::Bf16(_) => DType::Bf16,
        }
    }

    /// The dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::F32(array) => array.shape(),
            Self::F64(array) => array.shape(),
            Self::F16(array) => array.shape(),
            Self::Bf16(array) => array.shape(),
        }
    }

    /// Decodes elements in row-major order, little-endian, as files have them: exactly
    /// `product(shape) * dtype.size()` bytes, at any address.
    ///
    /// ```
    /// use evenkeel_client::{DType, LengthMismatch, Tensor};
    /// use ndarray::array;
    ///
    /// let tensor = Tensor::from_le_bytes(DType::F32, &[2], &[0, 0, 0x80, 0x3F, 0, 0, 0, 0x40])?;
    /// assert_eq!(tensor, array![1.0_f32, 2.0].into());
    /// assert_eq!(tensor.into_le_bytes()[..4], [0, 0, 0x80, 0x3F]);
    ///
    /// let short = Tensor::from_le_bytes(DType::F16, &[3], &[0; 5]);
    /// assert_eq!(short, Err(LengthMismatch { expected: Some(6), given: 5 }));
    /// # Ok::<(), LengthMismatch>(())
    /// ```
    ///
    /// # Errors
    /// [`LengthMismatch`] if the bytes do not fill the shape.
    pub fn from_le_bytes(dtype: DType, shape: &[usize], bytes: &[u8]) -> Result<Self, LengthMismatch> {
        match dtype {
            DType::F32 => codec::from_bytes(shape, bytes).map(Self::F32),
            DType::F64 => codec::from_bytes(shape, bytes).map(Self::F64),
            DType::F16 => codec::from_bytes(shape, bytes).map(Self::F16),
            DType::Bf16 => codec::from_bytes(shape, bytes).map(Self::Bf16),
        }
    }

    /// Encodes the elements in row-major order, little-endian. Nothing is copied if the array already lies so in memory.
    pub fn into_le_bytes(self) -> Bytes {
        match self {
            Self::F32(array) => codec::to_bytes(array.into()),
            Self::F64(array) => codec::to_bytes(array.into()),
            Self::F16(array) => codec::to_bytes(array.into()),
            Self::Bf16(array) => codec::to_bytes(array.into()),
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(array) => array.len(),
            Self::F64(array) => array.len(),
            Self::F16(array) => array.len(),
            Self::Bf16(array) => array.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The array, if its elements are of type `A`.
    pub fn view<A: Element>(&self) -> Option<ArrayViewD<'_, A>> {
        A::view(self)
    }
}

impl<A: Element, S: Data<Elem = A>, D: Dimension> From<ArrayBase<S, D>> for Tensor {
    fn from(array: ArrayBase<S, D>) -> Self {
        A::into_tensor(array.into_owned().into_dyn())
    }
}

impl<A: Element, S: Data<Elem = A>, D: Dimension> From<&ArrayBase<S, D>> for Tensor {
    fn from(array: &ArrayBase<S, D>) -> Self {
        A::into_tensor(array.to_owned().into_dyn())
    }
}

impl From<&Self> for Tensor {
    fn from(tensor: &Self) -> Self {
        tensor.clone()
    }
}

impl<A: Element, D: Dimension> TryFrom<Tensor> for Array<A, D> {
    type Error = Mismatch;

    fn try_from(tensor: Tensor) -> Result<Self, Mismatch> {
        let array =
            A::from_tensor(tensor).map_err(|tensor| Mismatch::DType { expected: A::DTYPE, given: tensor.dtype() })?;
        let given = array.ndim();
        array.into_dimensionality().map_err(|_| Mismatch::Rank { expected: D::NDIM.unwrap_or(given), given })
    }
}
