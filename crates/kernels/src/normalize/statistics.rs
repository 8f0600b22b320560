//! Mean, variance and their running averages.

use std::marker::PhantomData;

use super::{
    NormParameters,
    denominator::Denominator,
    layout::{Layout, Position},
    mean,
    plan::{Channels, Plan, Source},
    reduce::{Over, Terms, sums},
    scale::{self, times_power},
};
use crate::{
    Checkpoint, DType, Element, Error, Tensor, TensorRef,
    lanes::{BLOCK, Double, Lanes, two_sum},
    simd,
};

/// The statistics of each set, as one list for each quantity.
#[derive(Clone, Debug, Default)]
pub(super) struct Statistics {
    /// The mean, rounded to float64.
    pub(super) mean: Vec<f64>,
    /// What the mean's rounding left over: `mean + tail` is the mean to about twice the precision, so that an element
    /// close to the mean of numbers far from zero keeps all its digits in `(x - mean) - tail`.
    pub(super) tail: Vec<f64>,
    /// The biased variance; without centring, the mean square, or the sum of the squares where that is divided by.
    pub(super) var: Vec<f64>,
    /// The reciprocal of the [`Denominator`].
    pub(super) rstd: Vec<f64>,
    /// What its rounding left over, for float64 elements; empty for others.
    pub(super) rstd_tail: Vec<f64>,
    /// The exponents of the powers of two by which the elements of each set are multiplied before all this is so; empty if
    /// none are.
    pub(super) scales: Vec<i32>,
}

impl Statistics {
    /// Those of the `layout`'s sets, the first of which is set `first` of the whole tensor.
    pub(super) fn of<E: Element>(
        plan: &Plan,
        layout: &Layout,
        first: usize,
        input: &[u8],
        running: Option<&Running>,
        checkpoint: &dyn Checkpoint,
    ) -> Result<Self, Error> {
        match (plan.source, running) {
            (Source::Running, Some(running)) => Ok(running.statistics::<E>(plan, first, layout.sets())),
            (Source::Running, None) | (Source::Input, _) if E::DTYPE == DType::F64 => {
                let mut statistics = Self::measure_doubly(plan, layout, input, &[], checkpoint)?;
                let scales = scale::exponents_of(plan, layout, input, &statistics);
                if !scales.is_empty() {
                    let mut copy = input.to_vec();
                    scale::scale(layout, &mut copy, &scales);
                    statistics = Self::measure_doubly(plan, layout, &copy, &scales, checkpoint)?;
                    statistics.scales = scales;
                }
                Ok(statistics)
            }
            (Source::Running, None) | (Source::Input, _) => Self::measure::<E>(plan, layout, input, checkpoint),
        }
    }

    fn measure<E: Element>(
        plan: &Plan,
        layout: &Layout,
        input: &[u8],
        checkpoint: &dyn Checkpoint,
    ) -> Result<Self, Error> {
        let n = plan.denominator.share;
        let element = PhantomData::<E>;
        if !plan.centred {
            let squares = sums(layout, Over::Sets, &Squares { input, element }, checkpoint)?;
            let var = squares.iter().map(|[sum]| sum.value() / n).collect();
            let zeros = vec![0.0; squares.len()];
            return Ok(Self { mean: zeros.clone(), tail: zeros, var, ..Self::default() }.with_rstd(plan.denominator));
        }
        let totals = sums(layout, Over::Sets, &Plain { input, element }, checkpoint)?;
        let mut means: Vec<Double> = totals.iter().map(|&[sum]| mean::of_sum(sum, n)).collect();
        let centre: Vec<f64> = means.iter().map(|mean| mean.high).collect();
        let along_run = layout.run().set_stride;
        let centred = Centred { input, mean: &centre, along_run, element };
        let squares = sums(layout, Over::Sets, &centred, checkpoint)?;
        // The deviations are from the mean without its tail, which is what all of them have too much.
        let biased = |([squares], mean): (&[Double; 1], &Double)| {
            let var = squares.value() / n - mean.low * mean.low;
            if var < 0.0 { 0.0 } else { var } // `f64::max` would make 0 of NaN
        };
        let var: Vec<f64> = squares.iter().zip(&means).map(biased).collect();
        mean::settle::<E>(layout, input, &mut means, &var, checkpoint)?;
        let (mean, tail) = means.into_iter().map(|Double { high, low }| (high, low)).unzip();
        Ok(Self { mean, tail, var, ..Self::default() }.with_rstd(plan.denominator))
    }

    /// Float64 elements have all the digits that float64 has: what is computed from them in float64 alone is some ten
    /// roundings off, so that they take twice the precision.
    ///
    /// `scales`: as in the result.
    fn measure_doubly(
        plan: &Plan,
        layout: &Layout,
        input: &[u8],
        scales: &[i32],
        checkpoint: &dyn Checkpoint,
    ) -> Result<Self, Error> {
        let n = plan.denominator.share;
        let sets = layout.sets();
        let mut means = vec![Double::from(0.0); sets];
        if plan.centred {
            let totals = sums(layout, Over::Sets, &Plain { input, element: PhantomData::<f64> }, checkpoint)?;
            means.iter_mut().zip(totals).for_each(|(mean, [sum])| *mean = mean::of_sum(sum, n));
        }
        let centre: Vec<f64> = means.iter().map(|mean| mean.high).collect();
        let centred = CentredDoubly { input, mean: &centre, along_run: layout.run().set_stride };
        let squares = sums(layout, Over::Sets, &centred, checkpoint)?;
        let (mut var, mut rstd, mut rstd_tail) = (vec![0.0; sets], vec![0.0; sets], vec![0.0; sets]);
        for (set, [sum, rest]) in squares.into_iter().enumerate() {
            // The deviations are from the mean without its tail, which is what all of them have too much. Where all elements
            // are within a few units of the last place, it is most of a result.
            let tail = means[set].low;
            let mut squares = with_rest(sum, rest).over(n).minus(Double::product(tail, tail));
            if squares.high < 0.0 {
                squares = Double::from(0.0);
            }
            let exponent = scales.get(set).copied().unwrap_or(0);
            let Double { high, low } = plan.denominator.reciprocal_doubly(squares, exponent);
            (var[set], rstd[set], rstd_tail[set]) = (squares.value(), high, low);
        }
        if plan.centred {
            mean::settle::<f64>(layout, input, &mut means, &var, checkpoint)?;
        }
        let (mean, tail) = means.into_iter().map(|Double { high, low }| (high, low)).unzip();
        Ok(Self { mean, tail, var, rstd, rstd_tail, scales: Vec::new() })
    }

    fn with_rstd(mut self, denominator: Denominator) -> Self {
        self.rstd = self.var.iter().map(|&var| denominator.reciprocal(var)).collect();
        self
    }

    /// The whole mean of a set, as its elements are.
    fn mean_of(&self, set: usize) -> f64 {
        times_power(Double { high: self.mean[set], low: self.tail[set] }.value(), -self.scale(set))
    }

    /// The exponent of the power of two by which the elements of a set are multiplied.
    pub(super) fn scale(&self, set: usize) -> i32 {
        self.scales.get(set).copied().unwrap_or(0)
    }

    /// Statistics of parts, in order, as those of the whole.
    pub(super) fn concat(mut parts: Vec<Self>) -> Self {
        if parts.len() == 1 {
            return parts.remove(0);
        }
        let list = |quantity: fn(&Self) -> &Vec<f64>| parts.iter().flat_map(quantity).copied().collect();
        Self {
            mean: list(|part| &part.mean),
            tail: list(|part| &part.tail),
            var: list(|part| &part.var),
            rstd: list(|part| &part.rstd),
            rstd_tail: list(|part| &part.rstd_tail),
            scales: if parts.iter().all(|part| part.scales.is_empty()) {
                Vec::new()
            } else {
                let of_part = |part: &Self| (0..part.mean.len()).map(|set| part.scale(set)).collect::<Vec<_>>();
                parts.iter().flat_map(of_part).collect()
            },
        }
    }

    /// The mean and the reciprocal of the denominator, as tensors; no mean without centring.
    pub(super) fn tensors(&self, plan: &Plan, input: DType) -> (Option<Tensor>, Option<Tensor>) {
        let tensor = |values: &[f64]| Tensor::from_f64(returned_dtype(input), plan.statistics_shape.clone(), values);
        let mean = plan.centred.then(|| {
            let means: Vec<f64> = (0..self.mean.len()).map(|set| self.mean_of(set)).collect();
            tensor(&means)
        });
        let rstds: Vec<f64> = (0..self.rstd.len()).map(|set| times_power(self.rstd[set], self.scale(set))).collect();
        (mean, Some(tensor(&rstds)))
    }

    /// What there is to say of sets without elements: NaN. Written as bytes at once, for there may be many such sets in
    /// a tensor that took no memory at all.
    pub(super) fn undefined(plan: &Plan, input: DType) -> (Option<Tensor>, Option<Tensor>) {
        let dtype = returned_dtype(input);
        let mut nan = vec![0; dtype.size()];
        crate::encode(dtype, &[f64::NAN], &mut nan);
        let sets = plan.statistics_shape.iter().product();
        let tensor = || Tensor::from_parts(dtype, plan.statistics_shape.clone(), nan.repeat(sets));
        (plan.centred.then(tensor), Some(tensor()))
    }
}

/// The dtype in which statistics of such input are returned.
fn returned_dtype(input: DType) -> DType {
    if input == DType::F64 { DType::F64 } else { DType::F32 }
}

/// The running mean and variance of each channel.
pub(super) struct Running {
    mean: Vec<f64>,
    var: Vec<f64>,
}

impl Running {
    /// Those that were given; they come together or not at all.
    pub(super) fn of(parameters: &NormParameters<'_>) -> Option<Self> {
        Some(Self { mean: parameters.running_mean?.to_f64(), var: parameters.running_var?.to_f64() })
    }

    /// As the statistics of `sets` sets from `first` on.
    fn statistics<E: Element>(&self, plan: &Plan, first: usize, sets: usize) -> Statistics {
        let of_set = |values: &[f64]| (first..first + sets).map(|set| values[plan.channels.of_set(set)]).collect();
        let (mean, var): (Vec<f64>, Vec<f64>) = (of_set(&self.mean), of_set(&self.var));
        let statistics = Statistics { mean, tail: vec![0.0; sets], var, ..Statistics::default() };
        if E::DTYPE != DType::F64 {
            return statistics.with_rstd(plan.denominator);
        }
        let rstd = |&var: &f64| plan.denominator.reciprocal_doubly(Double::from(var), 0);
        let (rstd, rstd_tail) = statistics.var.iter().map(rstd).map(|Double { high, low }| (high, low)).unzip();
        Statistics { rstd, rstd_tail, ..statistics }
    }

    /// The running statistics after these of the input, with the unbiased variance; a channel with several sets
    /// (instance normalization) takes their average.
    pub(super) fn updated(&self, plan: &Plan, layout: &Layout, statistics: &Statistics) -> Self {
        let n = layout.set_len() as f64;
        let Channels { count, .. } = plan.channels;
        let zero = Double::from(0.0);
        let (mut mean, mut var) = (vec![zero; count], vec![zero; count]);
        for set in 0..statistics.mean.len() {
            let channel = plan.channels.of_set(set);
            let exponent = -statistics.scale(set);
            let unscaled =
                |x: Double| Double { high: times_power(x.high, exponent), low: times_power(x.low, exponent) };
            let var_of_set = times_power(statistics.var[set], 2 * exponent);
            mean[channel] =
                mean[channel].plus(unscaled(Double { high: statistics.mean[set], low: statistics.tail[set] }));
            var[channel] = var[channel].plus(Double::product(var_of_set, n).over(n - 1.0));
        }
        let sets_per_channel = (statistics.mean.len() / count) as f64;
        let old_share = Double::from(1.0).minus(Double::from(plan.momentum));
        let blend = |old: &[f64], new: Vec<Double>| {
            let blend = |(&old, new): (&f64, Double)| {
                let new = new.over(sets_per_channel).times(Double::from(plan.momentum));
                Double::from(old).times(old_share).plus(new).value()
            };
            old.iter().zip(new).map(blend).collect()
        };
        Self { mean: blend(&self.mean, mean), var: blend(&self.var, var) }
    }

    /// In the dtypes and shapes they were given in.
    pub(super) fn tensors(&self, given: &NormParameters<'_>) -> (Option<Tensor>, Option<Tensor>) {
        let tensor =
            |like: TensorRef<'_>, values: &[f64]| Tensor::from_f64(like.dtype(), like.shape().to_vec(), values);
        (given.running_mean.map(|like| tensor(like, &self.mean)), given.running_var.map(|like| tensor(like, &self.var)))
    }
}

/// A sum with the sum of what was rounded away from its terms; of an infinite one, that is NaN.
pub(super) fn with_rest(sum: Double, rest: Double) -> Double {
    if sum.high.is_finite() { sum.plus(rest).normalized() } else { Double::from(sum.high) }
}

/// The elements themselves.
struct Plain<'a, E> {
    input: &'a [u8],
    element: PhantomData<E>,
}

impl<E: Element> Terms<1> for Plain<'_, E> {
    /// So that an element next to the mean keeps its digits, however large the others are.
    const EACH: usize = 1;

    #[inline(always)]
    fn write(&self, at: Position, [x]: [&mut [f64]; 1]) {
        E::decode_from(self.input, at.offset, x);
    }

    #[inline(always)]
    fn add_block(&self, at: Position, ahead: usize, [lanes]: &mut [Lanes; 1]) {
        lanes.add_elements::<E>(block_of::<E>(self.input, at, ahead));
    }
}

/// The bytes of a whole block of elements. Those of the block `ahead` elements further are asked for.
#[inline(always)]
fn block_of<E: Element>(input: &[u8], at: Position, ahead: usize) -> &[u8] {
    let size = E::DTYPE.size();
    let block = &input[at.offset * size..][..BLOCK * size];
    simd::prefetch(block, ahead * size);
    block
}

/// Their squares.
struct Squares<'a, E> {
    input: &'a [u8],
    element: PhantomData<E>,
}

impl<E: Element> Terms<1> for Squares<'_, E> {
    #[inline(always)]
    fn write(&self, at: Position, [squares]: [&mut [f64]; 1]) {
        E::decode_from(self.input, at.offset, squares);
        squares.iter_mut().for_each(|x| *x *= *x);
    }

    #[inline(always)]
    fn add_block(&self, at: Position, ahead: usize, [lanes]: &mut [Lanes; 1]) {
        lanes.add_terms::<E>(block_of::<E>(self.input, at, ahead), |x| x * x);
    }
}

/// Squares of the deviations from the mean.
struct Centred<'a, E> {
    input: &'a [u8],
    mean: &'a [f64],
    /// The distance of neighbours of a run in `mean`: 0 or 1.
    along_run: usize,
    element: PhantomData<E>,
}

impl<E: Element> Terms<1> for Centred<'_, E> {
    #[inline(always)]
    fn write(&self, at: Position, [x]: [&mut [f64]; 1]) {
        E::decode_from(self.input, at.offset, x);
        if self.along_run == 0 {
            let mean = self.mean[at.set];
            x.iter_mut().for_each(|x| *x = (*x - mean) * (*x - mean));
        } else {
            x.iter_mut().zip(&self.mean[at.set..]).for_each(|(x, mean)| *x = (*x - mean) * (*x - mean));
        }
    }

    #[inline(always)]
    fn add_block(&self, at: Position, ahead: usize, [lanes]: &mut [Lanes; 1]) {
        // Sums along a run are those of one set.
        let mean = self.mean[at.set];
        lanes.add_terms::<E>(block_of::<E>(self.input, at, ahead), |x| (x - mean) * (x - mean));
    }
}

/// Squares of the deviations from the mean without its tail, and what rounding takes from each of them.
struct CentredDoubly<'a> {
    input: &'a [u8],
    mean: &'a [f64],
    /// The distance of neighbours of a run in `mean`: 0 or 1.
    along_run: usize,
}

impl Terms<2> for CentredDoubly<'_> {
    const EACH: usize = 1;

    #[inline(always)]
    fn write(&self, at: Position, [squares, rests]: [&mut [f64]; 2]) {
        f64::decode_from(self.input, at.offset, squares);
        let square = |(x, rest): (&mut f64, &mut f64), mean: f64| {
            let (high, low) = two_sum(*x, -mean);
            let deviation = Double { high, low };
            Double { high: *x, low: *rest } = deviation.times(deviation);
        };
        let terms = squares.iter_mut().zip(rests);
        if self.along_run == 0 {
            let mean = self.mean[at.set];
            terms.for_each(|term| square(term, mean));
        } else {
            terms.zip(&self.mean[at.set..]).for_each(|(term, &mean)| square(term, mean));
        }
    }
}
