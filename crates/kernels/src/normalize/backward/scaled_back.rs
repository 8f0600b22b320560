//! Gradients of scaled float64 sets, in the scale of their elements.
//!
//! The elements were multiplied by a power of two, and `rstd` was divided by it, so the gradients have to be multiplied by it. Beside
//! an eps that the square of the power takes beyond float64, `rstd` is so small that a gradient may be below float64's range until
//! then. Such gradients are recognized by their size, and computed in numbers of any size.

use super::{
    super::{
        layout::Position,
        power::{power, times_power},
        wide::Wide,
    },
    Part,
    slopes::Slopes,
};
use crate::{Element as _, lanes::DoubleDouble};

/// A gradient below it may have lost digits.
const LEAST: f64 = power(-900);

impl Part<'_> {
    /// Multiplies gradients by the powers of two of their sets. `gradients`: those of neighbouring elements of a run from `at` on;
    /// `dy`: those of the outputs there; `x`: the elements.
    #[cold]
    #[inline(never)]
    pub(super) fn scale_back(&self, at: Position, dy: &[u8], gradients: &mut [f64], x: &[f64]) {
        let run = self.layout.run();
        for (i, (gradient, &x)) in gradients.iter_mut().zip(x).enumerate() {
            let at = at.along(&run, i);
            let scale = self.statistics.scale(at.set);
            *gradient = match &self.slopes {
                // Without a mean, `settle_small` replaces such gradients.
                Some(slopes) if scale > 0 && !slopes.may_be_small && gradient.abs() < LEAST => {
                    let mut g = [0.0];
                    f64::decode_from(dy, i, &mut g);
                    let wide = self.wide_gradient(slopes, at, g[0], x);
                    // A wide zero has no sign.
                    if wide.is_zero() { *gradient } else { wide.value() }
                }
                _ => times_power(*gradient, scale),
            };
        }
    }

    /// The gradient of an element, from that of its output.
    fn wide_gradient(&self, slopes: &Slopes, at: Position, g: f64, x: f64) -> Wide {
        let (statistics, set) = (&self.statistics, at.set);
        let pair = |[high, low]: [&[f64]; 2]| Wide::new(DoubleDouble { high: high[set], low: low[set] }, 0);
        let rest = statistics.close_rest.get(set).copied().filter(|rest| !rest.is_nan()).unwrap_or(0.0);
        let deviation = Wide::from(x).minus(pair([&statistics.mean, &statistics.tail])).minus(Wide::from(rest));
        let [mean_g, slope] = [&slopes.mean_g, &slopes.slope].map(|lists| pair(lists.each_ref().map(Vec::as_slice)));
        let g = Wide::from(g).times(Wide::from(self.affine.weight[at.affine]));
        let rstd = DoubleDouble { high: statistics.rstd[set], low: statistics.rstd_tail[set] };
        g.minus(mean_g).minus(deviation.times(slope)).times(Wide::new(rstd, statistics.scale(set)))
    }
}
