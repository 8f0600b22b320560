//! How the statistics of a set depend on its elements.

/// The mean of g over each set, and the slope by which each deviation (in [`double_double`](super::double_double)) or each xh
/// (in [`f64_accum`](super::f64_accum)) is multiplied; both with what rounding left over, which is empty if it is not kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Slopes {
    pub(super) mean_g: [Vec<f64>; 2],
    pub(super) slope: [Vec<f64>; 2],
}

impl Slopes {
    /// Those of `sets` sets from `first` on.
    pub(super) fn stretch(&self, first: usize, sets: usize) -> Self {
        let of = |list: &Vec<f64>| if list.is_empty() { Vec::new() } else { list[first..first + sets].to_vec() };
        Self { mean_g: self.mean_g.each_ref().map(of), slope: self.slope.each_ref().map(of) }
    }

    /// Those of parts, in order, as those of the whole.
    pub(super) fn concat(mut parts: Vec<Self>) -> Self {
        if parts.len() == 1 {
            return parts.remove(0);
        }
        let list = |which: fn(&Self) -> &[Vec<f64>; 2]| {
            [0, 1].map(|half| parts.iter().flat_map(|part| &which(part)[half]).copied().collect())
        };
        Self { mean_g: list(|part| &part.mean_g), slope: list(|part| &part.slope) }
    }
}
