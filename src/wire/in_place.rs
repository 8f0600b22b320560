//! Results that overwrite the elements they are computed from, in the buffer of the message.

use std::ops::Range;

use evenkeel_kernels::TensorMut;

use super::Tensor;
use crate::buffers::{Buffers, Loan};

/// Calls `replace`, which may overwrite the elements of the tensors, and returns its result. The tensors have the new
/// elements then.
///
/// `None`: the elements cannot be overwritten, and `replace` is not called. There is no loan, or something beside the
/// tensors holds bytes of the buffer, or the elements do not all lie in the buffer, in the order of the tensors.
pub(crate) fn in_place<T>(
    loan: Option<Loan>,
    tensors: &mut [Tensor],
    replace: impl FnOnce(&mut [TensorMut<'_>]) -> T,
) -> Option<T> {
    let mut ours = Reclaimed::new(loan?, tensors)?;
    let result = replace(&mut ours.tensors(tensors));
    ours.give_back(tensors);
    Some(result)
}

/// The buffer of a message, taken back from the tensors whose elements are in it.
struct Reclaimed {
    pool: Buffers,
    buffer: Vec<u8>,
    /// The range of each tensor's elements in the buffer, in ascending order.
    places: Vec<Range<usize>>,
}

impl Reclaimed {
    /// Takes the buffer from the tensors, which have no elements then. `None`, with the tensors unchanged, if the
    /// elements do not all lie in the buffer, in the order of the tensors, or if something else holds bytes of it.
    fn new(loan: Loan, tensors: &mut [Tensor]) -> Option<Self> {
        let mut end = 0;
        let place = |tensor: &Tensor| {
            if tensor.data.is_empty() {
                return Some(end..end); // no elements need no place
            }
            let place = loan.place_of(&tensor.data).filter(|place| end <= place.start)?;
            end = place.end;
            Some(place)
        };
        let places: Vec<Range<usize>> = tensors.iter().map(place).collect::<Option<_>>()?;
        tensors.iter_mut().for_each(|tensor| tensor.data.clear());
        match loan.end() {
            Ok((pool, buffer)) => Some(Self { pool, buffer, places }),
            Err(bytes) => {
                tensors.iter_mut().zip(places).for_each(|(tensor, place)| tensor.data = bytes.slice(place));
                None
            }
        }
    }

    /// The tensors, to be overwritten. They must be those that the buffer was taken from.
    fn tensors<'a>(&'a mut self, tensors: &'a [Tensor]) -> Vec<TensorMut<'a>> {
        let mut rest = &mut self.buffer[..];
        let mut taken = 0;
        let places = self.places.iter().zip(tensors).map(|(place, tensor)| {
            let (_, from_here) = std::mem::take(&mut rest).split_at_mut(place.start - taken);
            let (data, others) = from_here.split_at_mut(place.len());
            (rest, taken) = (others, place.end);
            let (dtype, shape) = (tensor.description.dtype, &tensor.description.shape);
            TensorMut::new(dtype, shape, data).expect("the length was checked when it was decoded")
        });
        places.collect()
    }

    /// Gives each tensor its range of the buffer again.
    fn give_back(self, tensors: &mut [Tensor]) {
        let bytes = self.pool.lend(self.buffer);
        tensors.iter_mut().zip(self.places).for_each(|(tensor, place)| tensor.data = bytes.slice(place));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use evenkeel_kernels::Violations;
    use evenkeel_proto::v1 as pb;

    use super::*;
    use crate::{buffers::SMALLEST, wire::Path};

    fn tensor(data: Bytes) -> Tensor {
        let shape = vec![i64::try_from(data.len() / 4).expect("it is small")];
        let message = pb::Tensor { dtype: pb::DataType::Float32.into(), shape, data, ..pb::Tensor::default() };
        let mut found = Violations::new();
        Tensor::decode(message, Path::new("input"), usize::MAX, &mut found).expect("it is right")
    }

    fn message(pool: &Buffers) -> (Bytes, Loan) {
        let mut buffer = pool.take(SMALLEST);
        buffer.iter_mut().zip(0..).for_each(|(byte, i): (_, usize)| *byte = i as u8);
        let (bytes, loan) = pool.lend_until(buffer);
        (bytes, loan.expect("it is large enough"))
    }

    /// Fills each tensor with its number, from 1; returns the bytes that were in the tensors.
    fn numbered(loan: Loan, tensors: &mut [Tensor]) -> Option<Vec<Vec<u8>>> {
        in_place(Some(loan), tensors, |views| {
            let before = views.iter().map(|tensor| tensor.view().data().to_vec()).collect();
            views.iter_mut().zip(1..).for_each(|(tensor, number)| tensor.data_mut().fill(number));
            before
        })
    }

    #[test]
    fn results_are_where_the_message_was() {
        let pool = Buffers::new(usize::MAX);
        let (bytes, loan) = message(&pool);
        let address = bytes.as_ptr();
        let mut tensors = [bytes.slice(5..13), Bytes::new(), bytes.slice(40..44)].map(tensor);
        drop(bytes);
        let before = numbered(loan, &mut tensors).expect("nobody else holds it");
        assert_eq!(before, [vec![5, 6, 7, 8, 9, 10, 11, 12], vec![], vec![40, 41, 42, 43]]);
        assert_eq!(tensors[2].data.as_ptr(), address.wrapping_add(40));
        assert_eq!(tensors.each_ref().map(|tensor| tensor.data.to_vec()), [vec![1; 8], vec![], vec![3; 4]]);
        assert_eq!(pool.metrics().kept_bytes, 0);
        drop(tensors);
        assert!(pool.metrics().kept_bytes >= SMALLEST, "the buffer comes back in the end");
    }

    #[test]
    fn what_somebody_holds_is_not_taken() {
        let pool = Buffers::new(usize::MAX);
        let (bytes, loan) = message(&pool);
        let mut tensors = [tensor(bytes.slice(4..8))];
        assert_eq!(numbered(loan, &mut tensors), None);
        assert_eq!(tensors[0].data, [4, 5, 6, 7][..]);
    }

    #[test]
    fn elements_that_are_elsewhere_are_not_taken() {
        let pool = Buffers::new(usize::MAX);
        let (bytes, loan) = message(&pool);
        let mut tensors = [tensor(bytes.slice(4..8)), tensor(Bytes::from_static(&[1; 4]))];
        drop(bytes);
        assert_eq!(numbered(loan, &mut tensors), None);
        assert_eq!((tensors[0].data.len(), tensors[1].data.len()), (4, 4));
    }
}
