//! The results of work, in order.

use std::{ops::Range, sync::OnceLock};

use super::ranges::{Ranges, for_each_range};
use crate::Error;

/// A place for each result, which any thread may fill.
pub(crate) struct Places<T>(Vec<OnceLock<T>>);

impl<T> Places<T> {
    pub(crate) fn new(count: usize) -> Self {
        Self((0..count).map(|_| OnceLock::new()).collect())
    }

    /// Fills a place.
    pub(crate) fn put(&self, index: usize, result: T) {
        assert!(self.0[index].set(result).is_ok(), "a place is filled once");
    }

    /// All results, once every place is filled.
    pub(crate) fn into_results(self) -> Vec<T> {
        self.0.into_iter().map(|place| place.into_inner().expect("the callers fill every place")).collect()
    }
}

/// The results of `work(index)` for each index below `count`, in order, or one of the errors.
pub(crate) fn map<T: Send + Sync>(
    count: usize,
    work: &(dyn Fn(usize) -> Result<T, Error> + Sync),
) -> Result<Vec<T>, Error> {
    map_ranges(count, 1, &|range| work(range.start))
}

/// The results of `work` for ranges that together are `0..count`, in order, or one of the errors. Threads take at least
/// `least` indices at a time, where there are as many.
pub(crate) fn map_ranges<T: Send + Sync>(
    count: usize,
    least: usize,
    work: &(dyn Fn(Range<usize>) -> Result<T, Error> + Sync),
) -> Result<Vec<T>, Error> {
    let ranges = Ranges::new(count, least);
    let results = Places::new(ranges.number());
    for_each_range(ranges.number(), 1, &|numbers| {
        for number in numbers {
            results.put(number, work(ranges.range(number))?);
        }
        Ok(())
    })?;
    Ok(results.into_results())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order() {
        assert_eq!(map(1000, &|index| Ok(index * index)), Ok((0..1000).map(|index| index * index).collect()));
        let ranges = map_ranges(1000, 7, &Ok).expect("nothing stops it");
        assert!(ranges.iter().all(|range| range.len() >= 7));
        assert!(ranges.into_iter().flatten().eq(0..1000));
        let third = |index| if index == 3 { Err(Error::Cancelled) } else { Ok(index) };
        assert_eq!(map(10, &third), Err(Error::Cancelled));
    }
}
