//! Digests of results.

use std::fmt::Write as _;

use evenkeel_kernels::{Checkpoint, DType, Error, SetStatistics, SignedSum, StatisticsPartial, Tensor, TensorMut};
use ring::digest::{Context, SHA256};

/// The bytes of SHA-256 that are kept: enough to tell any two results apart.
const LEN: usize = 16;

/// The digests of a case's results, one for each way in which they were computed. All must be equal.
pub(super) struct Ways<'a> {
    pub(super) checkpoint: &'a dyn Checkpoint,
    /// Whether one bit of each result is to be wrong.
    spoils: bool,
    digests: Vec<(&'static str, Digest)>,
}

impl<'a> Ways<'a> {
    pub(super) fn new(checkpoint: &'a dyn Checkpoint, spoils: bool) -> Self {
        Self { checkpoint, spoils, digests: Vec::new() }
    }

    /// Adds to the digest of a way the parts of a result that `add` gives to it.
    pub(super) fn add(&mut self, way: &'static str, add: impl FnOnce(&mut Digest)) {
        let known = self.digests.iter().position(|(name, _)| *name == way);
        let index = known.unwrap_or_else(|| {
            self.digests.push((way, Digest { context: Context::new(&SHA256), spoils: self.spoils }));
            self.digests.len() - 1
        });
        add(&mut self.digests[index].1);
    }

    /// The ways, with their digests.
    pub(super) fn into_digests(self) -> impl Iterator<Item = (&'static str, String)> {
        self.digests.into_iter().map(|(way, digest)| (way, digest.finish()))
    }
}

/// The digest of results, to which their parts are added in a fixed order.
pub(super) struct Digest {
    context: Context,
    spoils: bool,
}

impl Digest {
    /// Bytes, with their number.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.context.update(&(bytes.len() as u64).to_le_bytes());
        match bytes.split_last() {
            Some((last, rest)) if self.spoils => {
                self.context.update(rest);
                self.context.update(&[last ^ 1]);
            }
            Some(_) | None => self.context.update(bytes),
        }
    }

    /// A count.
    pub(super) fn count(&mut self, count: u64) {
        self.bytes(&count.to_le_bytes());
    }

    /// A number; the bits of a NaN that is no tensor's are not promised.
    pub(super) fn number(&mut self, x: f64) {
        self.bytes(&if x.is_nan() { f64::NAN } else { x }.to_bits().to_le_bytes());
    }

    /// A dtype, a shape and the bytes of the elements.
    pub(super) fn elements(&mut self, dtype: DType, shape: &[usize], data: &[u8]) {
        self.bytes(dtype.name().as_bytes());
        self.count(shape.len() as u64);
        shape.iter().for_each(|&len| self.count(len as u64));
        self.bytes(data);
    }

    /// A tensor that may be missing.
    pub(super) fn tensor(&mut self, tensor: Option<&Tensor>) {
        self.count(tensor.is_some().into());
        if let Some(tensor) = tensor {
            self.elements(tensor.dtype(), tensor.shape(), tensor.data());
        }
    }

    /// Statistics that merge.
    pub(super) fn statistics(&mut self, partial: &StatisticsPartial) {
        partial.shape().iter().for_each(|&len| self.count(len as u64));
        for set in partial.sets() {
            let SetStatistics {
                elements,
                nan_elements,
                infinite_elements,
                negative_infinite_elements,
                sum,
                sum_of_squares,
                gradients,
            } = set;
            let counts = [elements, nan_elements, infinite_elements, negative_infinite_elements];
            counts.into_iter().for_each(|&count| self.count(count));
            self.sum(sum);
            self.sum(sum_of_squares);
            if let Some(gradients) = gradients {
                self.count(gradients.nonfinite_gradients);
                self.sum(&gradients.sum);
                self.sum(&gradients.sum_of_products);
            }
        }
    }

    fn sum(&mut self, sum: &SignedSum) {
        self.count(sum.is_negative().into());
        self.count(sum.low_zero_bytes().into());
        self.bytes(sum.magnitude());
    }

    fn finish(self) -> String {
        let digest = self.context.finish();
        digest.as_ref().iter().take(LEN).fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string takes whatever is written");
            text
        })
    }
}

/// The result of `operation` on a copy of a tensor, and the bytes of the copy after it.
pub(super) fn in_place<T>(
    tensor: &Tensor,
    operation: impl FnOnce(&mut TensorMut<'_>) -> Result<T, Error>,
) -> Result<(T, Vec<u8>), Error> {
    let mut copy = tensor.data().to_vec();
    let mut place = TensorMut::new(tensor.dtype(), tensor.shape(), &mut copy).expect("a copy is as long");
    let result = operation(&mut place)?;
    Ok((result, copy))
}

/// The ends of parts of 1, 5 and 2 times `len` bytes, in this order and again, with the begin of each.
pub(super) fn parts(total: usize, len: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut sizes = [1, 5, 2].into_iter().cycle();
    let mut from = 0;
    std::iter::from_fn(move || {
        let end = total.min(from + sizes.next()? * len);
        let part = from..end;
        from = end;
        (!part.is_empty()).then_some(part)
    })
}
