//! Gradients of float64 elements without a mean whose terms are below float64's range until they are divided by the
//! norm.
//!
//! With d = x and g = 0, dx is -rstd * d * slope: the product `d * slope`, or the slope itself, may be too small for
//! float64 although the result is not. Such terms are recognized by their size, and computed in numbers of any size.

use super::{
    super::{
        layout::{Dim, Position},
        power::{exponent, power},
        reduce::{Over, members, until_cancelled},
        wide::Wide,
    },
    Part,
    slopes::Slopes,
};
use crate::{Checkpoint, Element as _, Error, lanes::DoubleDouble};

/// Products below it may have lost digits.
const LEAST_PRODUCT: f64 = power(-800);
/// A gradient above it has no such terms, since `rstd` of a scaled set is below 2^432.
pub(super) const LEAST_GRADIENT: f64 = power(-360);

/// The slope of a set, if float64 may have lost it. `mean`: that of g * d, or the sum; `slope`: the slope in float64.
pub(super) fn slope(
    part: &Part<'_>,
    dy: &[u8],
    set: usize,
    n: f64,
    [mean, slope]: [f64; 2],
    checkpoint: &dyn Checkpoint,
) -> Result<Option<Wide>, Error> {
    let is_small = mean.abs() < LEAST_PRODUCT || slope.abs() < LEAST_PRODUCT;
    let rstd = part.rstd_of(set);
    if !is_small || !rstd.high.is_finite() {
        return Ok(None);
    }
    // Most sums that are 0 have only zeros as terms, or terms that cancel.
    const FEWEST: i32 = -900;
    if slope == 0.0 && mean == 0.0 && are_zeros(part, dy, set, checkpoint) {
        return Ok(None);
    }
    let terms = || {
        let members = until_cancelled(members(&part.layout, Over::Sets, set), checkpoint);
        members.map(|at| part.term(dy, at)).filter(|term| !term.contains(&0.0))
    };
    let are_small = |[g, weight, x]: [f64; 3]| exponent(g.abs()) + exponent(weight.abs()) + exponent(x.abs()) < FEWEST;
    if slope == 0.0 && mean == 0.0 && !terms().any(are_small) {
        return Ok(None);
    }
    let product = |[g, weight, x]: [f64; 3]| Wide::from(g).times(Wide::from(weight)).times(Wide::from(x));
    let sum = terms().map(product).fold(Wide::ZERO, Wide::plus);
    checkpoint.check()?;
    Ok(Some(sum.over(n).times(Wide::new(rstd, 0)).times(Wide::new(rstd, 0))))
}

/// Whether all gradients of the outputs of a set are 0.
fn are_zeros(part: &Part<'_>, dy: &[u8], set: usize, checkpoint: &dyn Checkpoint) -> bool {
    let (kept, mut pooled): (Vec<Dim>, Vec<Dim>) = part.layout.dims.iter().partition(|dim| !dim.pooled);
    let first = part.layout.origin().advance(&kept, set);
    let Some(run) = pooled.pop() else { return false };
    let outer: usize = pooled.iter().map(|dim| dim.len).product();
    // Each run is a part of a chunk, or longer.
    until_cancelled(0..outer, checkpoint).map(|index| first.advance(&pooled, index).offset).all(|offset| {
        until_cancelled(0..run.len, checkpoint).all(|i| {
            let mut g = [0.0];
            f64::decode_from(dy, offset + i * run.stride, &mut g);
            g == [0.0]
        })
    })
}

impl Part<'_> {
    fn rstd_of(&self, set: usize) -> DoubleDouble {
        DoubleDouble { high: self.statistics.rstd[set], low: self.statistics.rstd_tail[set] }
    }

    /// The gradient of an output, its weight and its element.
    fn term(&self, dy: &[u8], at: Position) -> [f64; 3] {
        let number = |bytes: &[u8]| {
            let mut x = [0.0];
            f64::decode_from(bytes, at.offset, &mut x);
            x[0]
        };
        [number(dy), self.affine.weight[at.affine], number(&self.input)]
    }

    /// Replaces the gradients whose terms are too small for float64. `gradients`: those of neighbouring elements of a
    /// run from `at` on; `dy`: those of the outputs there; `x`: the elements.
    #[cold]
    #[inline(never)]
    pub(super) fn settle_small(&self, at: Position, dy: &[u8], gradients: &mut [f64], x: &[f64]) {
        let Some(Slopes { small, slope: [slope, slope_low], .. }) = &self.slopes else { return };
        let run = self.layout.run();
        // Gradients of 0 are small, too, but common and right.
        let zeros = |numbers: &[f64]| numbers.iter().all(|x| *x == 0.0);
        let sets = if run.set_stride == 0 { 1 } else { x.len() };
        if small.is_empty() && zeros(&slope[at.set..][..sets]) && dy.iter().all(|byte| byte & 0x7f == 0) {
            return;
        }
        for (i, (gradient, &x)) in gradients.iter_mut().zip(x).enumerate() {
            let Position { set, affine, .. } = at.along(&run, i);
            let mut g = [0.0];
            f64::decode_from(dy, i, &mut g);
            let ([g], weight) = (g, self.affine.weight[affine]);
            let wide = small.binary_search_by_key(&set, |&(set, _)| set).ok().map(|index| small[index].1);
            // The gradient itself may be too small before it is scaled back.
            let are_small =
                |factor: f64| (g * weight * factor).abs().max((x * slope[set] * factor).abs()) < LEAST_PRODUCT;
            let is_small = are_small(1.0) || are_small(self.rstd_of(set).high);
            let has_slope = wide.is_some() || slope[set] != 0.0;
            if !is_small
                || (g == 0.0 || weight == 0.0) && (x == 0.0 || !has_slope)
                || !self.rstd_of(set).high.is_finite()
            {
                continue;
            }
            let slope = wide.unwrap_or_else(|| Wide::new(DoubleDouble { high: slope[set], low: slope_low[set] }, 0));
            let sum = Wide::from(g).times(Wide::from(weight)).minus(Wide::from(x).times(slope));
            *gradient = sum.times(Wide::new(self.rstd_of(set), self.statistics.scale(set))).value();
        }
    }
}
