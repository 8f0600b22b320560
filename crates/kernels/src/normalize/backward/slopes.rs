//! How the statistics of a set depend on its elements.

use super::super::wide::Wide;

/// The mean of g over each set, and the slope by which each deviation (in [`double_double`](super::double_double)) or
/// each xh (in [`f64_accum`](super::f64_accum)) is multiplied; each as a list of rounded numbers and a list of their
/// remainders, which is empty if they are not kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Slopes {
    pub(super) mean_g: [Vec<f64>; 2],
    pub(super) slope: [Vec<f64>; 2],
    /// Whether terms of float64 elements may be below float64's range (see [`small`](super::small)).
    pub(super) may_be_small: bool,
    /// The slopes of sets for which `slope` has no digits, by the number of the set.
    pub(super) small: Vec<(usize, Wide)>,
}

impl Slopes {
    /// The slopes of `sets` sets from `first` on.
    pub(super) fn stretch(&self, first: usize, sets: usize) -> Self {
        let of = |list: &Vec<f64>| if list.is_empty() { Vec::new() } else { list[first..first + sets].to_vec() };
        let small = self.small.iter().filter(|(set, _)| (first..first + sets).contains(set));
        Self {
            mean_g: self.mean_g.each_ref().map(of),
            slope: self.slope.each_ref().map(of),
            may_be_small: self.may_be_small,
            small: small.map(|&(set, slope)| (set - first, slope)).collect(),
        }
    }

    /// The slopes of parts, in order, as those of the whole.
    pub(super) fn concat(mut parts: Vec<Self>) -> Self {
        if parts.len() == 1 {
            return parts.remove(0);
        }
        let list = |which: fn(&Self) -> &[Vec<f64>; 2]| {
            [0, 1].map(|half| parts.iter().flat_map(|part| &which(part)[half]).copied().collect())
        };
        let mut first = 0;
        let mut small = Vec::new();
        for part in &parts {
            small.extend(part.small.iter().map(|&(set, slope)| (first + set, slope)));
            first += part.slope[0].len();
        }
        let may_be_small = parts.iter().any(|part| part.may_be_small);
        Self { mean_g: list(|part| &part.mean_g), slope: list(|part| &part.slope), may_be_small, small }
    }
}
