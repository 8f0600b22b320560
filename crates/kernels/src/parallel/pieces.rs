//! Work on pieces of a slice, each of which is replaced by a single thread.

use rayon::prelude::*;

use super::ranges::Ranges;
use crate::Error;

/// Work on a chunk of items, after its index.
type ChunkWork<'a, T> = dyn Fn(usize, &mut [T]) -> Result<(), Error> + Sync + 'a;

/// Work on two chunks beside each other, after their index.
type PairWork<'a, T, U> = dyn Fn(usize, &mut [T], &mut [U]) -> Result<(), Error> + Sync + 'a;

/// Chunk `index` of consecutive chunks of `len` items; the last may have fewer.
pub(crate) fn chunk<T>(items: &[T], len: usize, index: usize) -> &[T] {
    &items[index * len..items.len().min((index + 1) * len)]
}

/// Runs `work(index, chunk)` on consecutive chunks of `len` items; the last may have fewer. After an error no further chunk
/// is begun.
pub(crate) fn for_each_chunk<T: Send>(items: &mut [T], len: usize, work: &ChunkWork<'_, T>) -> Result<(), Error> {
    items.par_chunks_mut(len).enumerate().try_for_each(|(index, chunk)| work(index, chunk))
}

/// As [`for_each_chunk`], with a chunk of another slice beside each. Threads take at least `least` of these pairs at a
/// time.
pub(crate) fn for_each_beside<T: Send, U: Send>(
    (items, len): (&mut [T], usize),
    (others, others_len): (&mut [U], usize),
    least: usize,
    work: &PairWork<'_, T, U>,
) -> Result<(), Error> {
    let pairs = items.par_chunks_mut(len).zip(others.par_chunks_mut(others_len));
    pairs.with_min_len(least).enumerate().try_for_each(|(index, (items, others))| work(index, items, others))
}

/// Runs `work(first, stretch)` on consecutive stretches of whole units of `unit` items: `first` is the index of the first unit.
/// A stretch has at least `least` units, where there are as many; the last may have fewer. Within a stretch
/// there is no dynamic call for a unit.
pub(crate) fn for_each_stretch<T: Send>(
    items: &mut [T],
    unit: usize,
    least: usize,
    work: &ChunkWork<'_, T>,
) -> Result<(), Error> {
    let Ranges { len, .. } = Ranges::new(items.len().div_ceil(unit), least);
    for_each_chunk(items, len * unit, &|index, stretch| work(index * len, stretch))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Each item is in the unit that its stretch says.
        #[test]
        fn stretches_have_whole_units(units in 0..300_usize, unit in 1..7_usize, least in 1..40_usize) {
            let mut items = vec![usize::MAX; units * unit];
            for_each_stretch(&mut items, unit, least, &|first, stretch| {
                assert!(stretch.len().is_multiple_of(unit));
                for (index, items) in stretch.chunks_mut(unit).enumerate() {
                    items.fill(first + index);
                }
                Ok(())
            }).expect("nothing stops it");
            prop_assert_eq!(items, (0..units * unit).map(|item| item / unit).collect::<Vec<_>>());
        }

        #[test]
        fn chunks_lie_beside_each_other(count in 0..300_usize, len in 1..9_usize, least in 1..5_usize) {
            let (mut items, mut others) = (vec![0; count * len], vec![0; count]);
            for_each_beside((&mut items, len), (&mut others, 1), least, &|index, items, others| {
                items.fill(index);
                others.fill(index);
                Ok(())
            }).expect("nothing stops it");
            prop_assert!(items.chunks(len).zip(&others).all(|(items, other)| items.iter().all(|item| item == other)));
            prop_assert_eq!(others, (0..count).collect::<Vec<_>>());
        }
    }
}
