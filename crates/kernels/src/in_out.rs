//! Where elements are read and their results are written: apart from the elements, or over them.

use crate::{
    Element, Error,
    dtype::{Beside, Real},
    parallel::{Places, for_each_beside, for_each_chunk},
};

/// Neighbouring elements, as bytes, and where their results are written.
pub(crate) enum InOut<'a> {
    /// Results go to `output`, which is as long as `input`.
    Apart { input: &'a [u8], output: &'a mut [u8] },
    /// Results replace the elements.
    InPlace(&'a mut [u8]),
}

/// Work on a piece and on the items beside it, after their index.
type PairWork<'a, T> = dyn Fn(usize, InOut<'_>, &mut [T]) -> Result<(), Error> + Sync + 'a;

impl<'a> InOut<'a> {
    /// The number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.input().len()
    }

    /// A shorter borrow of the same memory, as `&mut *x` is for a reference.
    pub(crate) fn reborrow(&mut self) -> InOut<'_> {
        match self {
            Self::Apart { input, output } => InOut::Apart { input, output },
            Self::InPlace(data) => InOut::InPlace(data),
        }
    }

    /// The elements, before anything is written.
    pub(crate) fn input(&self) -> &[u8] {
        match self {
            Self::Apart { input, .. } => input,
            Self::InPlace(data) => data,
        }
    }

    /// The memory of the results, after the elements were copied to it.
    pub(crate) fn copied(self) -> &'a mut [u8] {
        match self {
            Self::Apart { input, output } => {
                output.copy_from_slice(input);
                output
            }
            Self::InPlace(data) => data,
        }
    }

    /// The memory of the results, for a caller that has read the elements.
    pub(crate) fn output(self) -> &'a mut [u8] {
        match self {
            Self::Apart { output, .. } | Self::InPlace(output) => output,
        }
    }

    /// Calls `write` with the elements and the memory of their results; elements that are to be replaced are copied first.
    pub(crate) fn with_both<T>(self, write: impl FnOnce(&[u8], &mut [u8]) -> T) -> T {
        match self {
            Self::Apart { input, output } => write(input, output),
            Self::InPlace(data) => {
                let input = data.to_vec();
                write(&input, data)
            }
        }
    }

    /// Runs `work(index, piece)` in parallel on consecutive pieces of `len` bytes; the last may have fewer.
    pub(crate) fn for_each_chunk(
        self,
        len: usize,
        work: &(dyn Fn(usize, InOut<'_>) -> Result<(), Error> + Sync),
    ) -> Result<(), Error> {
        match self {
            Self::Apart { input, output } => for_each_chunk(output, len, &|index, output| {
                work(index, InOut::Apart { input: &input[index * len..][..output.len()], output })
            }),
            Self::InPlace(data) => for_each_chunk(data, len, &|index, data| work(index, InOut::InPlace(data))),
        }
    }

    /// As [`for_each_chunk`](Self::for_each_chunk), with the next `others_len` of the `others` beside each piece. Threads take at
    /// least `least` pieces at a time.
    pub(crate) fn for_each_chunk_beside<T: Send>(
        self,
        len: usize,
        others: (&mut [T], usize),
        least: usize,
        work: &PairWork<'_, T>,
    ) -> Result<(), Error> {
        match self {
            Self::Apart { input, output } => for_each_beside((output, len), others, least, &|index, output, others| {
                work(index, InOut::Apart { input: &input[index * len..][..output.len()], output }, others)
            }),
            Self::InPlace(data) => for_each_beside((data, len), others, least, &|index, data, others| {
                work(index, InOut::InPlace(data), others)
            }),
        }
    }

    /// The results of `work(index, piece)` for pieces of `len` bytes, in order.
    pub(crate) fn map_chunks<T: Send + Sync>(
        self,
        len: usize,
        work: &(dyn Fn(usize, InOut<'_>) -> Result<T, Error> + Sync),
    ) -> Result<Vec<T>, Error> {
        let results = Places::new(self.len().div_ceil(len));
        self.for_each_chunk(len, &|index, piece| {
            results.put(index, work(index, piece)?);
            Ok(())
        })?;
        Ok(results.into_results())
    }

    /// The first `len` bytes, or as many as there are, and the others.
    #[inline(always)]
    pub(crate) fn split_at(self, len: usize) -> (Self, Self) {
        let len = len.min(self.len());
        match self {
            Self::Apart { input, output } => {
                let ((input, inputs), (output, outputs)) = (input.split_at(len), output.split_at_mut(len));
                (Self::Apart { input, output }, Self::Apart { input: inputs, output: outputs })
            }
            Self::InPlace(data) => {
                let (first, others) = data.split_at_mut(len);
                (Self::InPlace(first), Self::InPlace(others))
            }
        }
    }

    /// Writes `f` of each element and its item of `beside`, rounded. May call `f` more than once for an element.
    #[inline(always)]
    pub(crate) fn map_beside<E: Element, B: Beside, R: Real>(self, beside: B, f: impl Fn(f64, B::Item) -> R) {
        match self {
            Self::Apart { input, output } => E::map_beside(input, output, beside, f),
            Self::InPlace(data) => E::map_in_place(data, beside, f),
        }
    }

    /// As [`map_beside`](Self::map_beside), for a function of the element alone.
    #[inline(always)]
    pub(crate) fn map<E: Element, R: Real>(self, f: impl Fn(f64) -> R) {
        self.map_beside::<E, _, _>((), |x, ()| f(x));
    }
}
