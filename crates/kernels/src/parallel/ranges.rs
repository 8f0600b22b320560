//! Work that is told apart by its index.

use std::ops::Range;

use rayon::prelude::*;

use crate::Error;

/// Indices in ranges of one length, the last of which may be shorter.
pub(super) struct Ranges {
    count: usize,
    /// The indices of a range.
    pub(super) len: usize,
}

impl Ranges {
    /// The indices below `count` in as many ranges of one length, at least `least`, as there can be; in one range if there are
    /// fewer than twice as many.
    pub(super) fn new(count: usize, least: usize) -> Self {
        Self { count, len: count.div_ceil((count / least).max(1)).max(1) }
    }

    /// How many ranges there are.
    pub(super) fn number(&self) -> usize {
        self.count.div_ceil(self.len)
    }

    pub(super) fn range(&self, index: usize) -> Range<usize> {
        let first = index * self.len;
        first..self.count.min(first + self.len)
    }
}

/// Runs `work` on ranges that together are `0..count`. Threads take at least `least` indices at a time, where there are
/// as many. After an error no further range is begun.
pub(crate) fn for_each_range(
    count: usize,
    least: usize,
    work: &(dyn Fn(Range<usize>) -> Result<(), Error> + Sync),
) -> Result<(), Error> {
    let ranges = Ranges::new(count, least);
    (0..ranges.number()).into_par_iter().try_for_each(|index| work(ranges.range(index)))
}

/// Adds each index below `count` to an accumulator, and the accumulators of all threads to each other; `empty()` if there are
/// no indices. Rayon decides which indices an accumulator takes, so `add` and `merge` must be exact.
pub(crate) fn fold<T: Send>(
    count: usize,
    empty: &(dyn Fn() -> T + Sync),
    add: &(dyn Fn(&mut T, usize) -> Result<(), Error> + Sync),
    merge: &(dyn Fn(&mut T, T) + Sync),
) -> Result<T, Error> {
    let added = (0..count).into_par_iter().try_fold(
        || None,
        |sum: Option<T>, index| {
            let mut sum = sum.unwrap_or_else(empty);
            add(&mut sum, index)?;
            Ok::<_, Error>(Some(sum))
        },
    );
    let merged = added.try_reduce(
        || None,
        |a, b| {
            Ok(match (a, b) {
                (Some(mut a), Some(b)) => {
                    merge(&mut a, b);
                    Some(a)
                }
                (a, b) => a.or(b),
            })
        },
    )?;
    Ok(merged.unwrap_or_else(empty))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Ranges are long enough, and there are no fewer than that allows.
        #[test]
        fn ranges_are_all_indices(count in 0..3000_usize, least in 1..200_usize) {
            let ranges = Ranges::new(count, least);
            let all: Vec<usize> = (0..ranges.number()).flat_map(|index| ranges.range(index)).collect();
            prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
            prop_assert!(ranges.len >= least || ranges.number() <= 1);
            prop_assert!(ranges.len < 2 * least);
        }

        #[test]
        fn a_fold_takes_each_index_once(count in 0..3000_usize) {
            let add = |taken: &mut Vec<usize>, index| {
                taken.push(index);
                Ok(())
            };
            let taken = fold(count, &Vec::new, &add, &|a: &mut Vec<usize>, b| a.extend(b));
            prop_assert_eq!(taken, Ok((0..count).collect::<Vec<_>>()));
        }
    }

    #[test]
    fn an_error_ends_the_work() {
        let begun = AtomicUsize::new(0);
        let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread can be started");
        let work = |range: Range<usize>| {
            begun.fetch_add(1, Ordering::Relaxed);
            if range.contains(&10) { Err(Error::Cancelled) } else { Ok(()) }
        };
        assert_eq!(one_thread.install(|| for_each_range(1000, 1, &work)), Err(Error::Cancelled));
        assert_eq!(begun.into_inner(), 11);
        let add = |taken: &mut usize, index| {
            *taken += 1;
            if index == 10 { Err(Error::Cancelled) } else { Ok(()) }
        };
        assert_eq!(fold(1000, &|| 0, &add, &|a, b| *a += b), Err(Error::Cancelled));
    }

    #[test]
    fn ranges_of_one_index_are_single() {
        let seen = Mutex::new(Vec::new());
        let work = |range: Range<usize>| {
            seen.lock().expect("no thread panics").push(range.len());
            Ok(())
        };
        assert_eq!(for_each_range(100, 1, &work), Ok(()));
        assert_eq!(seen.into_inner().expect("no thread panics"), [1; 100]);
    }
}
