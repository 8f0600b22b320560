//! Mean, variance and their running averages.

use std::marker::PhantomData;

use super::{
    NormParameters,
    layout::{Layout, Position},
    plan::{Channels, Plan, Source},
    reduce::{Over, Terms, sums},
};
use crate::{Checkpoint, DType, Element, Error, Tensor, TensorRef, lanes::compensated};

/// The statistics of each set, as one list for each quantity.
#[derive(Clone, Debug, Default)]
pub(super) struct Statistics {
    /// The mean, rounded to float64.
    pub(super) mean: Vec<f64>,
    /// What the mean's rounding left over: `mean + tail` is the mean to about twice the precision, so that an element
    /// close to the mean of numbers far from zero keeps all its digits in `(x - mean) - tail`.
    pub(super) tail: Vec<f64>,
    /// The biased variance; without centring, the mean square.
    pub(super) var: Vec<f64>,
    /// `1 / sqrt(var + eps)`.
    pub(super) rstd: Vec<f64>,
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
            (Source::Running, Some(running)) => Ok(running.statistics(plan, first, layout.sets())),
            (Source::Running, None) | (Source::Input, _) => Self::measure::<E>(plan, layout, input, checkpoint),
        }
    }

    fn measure<E: Element>(
        plan: &Plan,
        layout: &Layout,
        input: &[u8],
        checkpoint: &dyn Checkpoint,
    ) -> Result<Self, Error> {
        let n = layout.set_len() as f64;
        let element = PhantomData::<E>;
        if !plan.centred {
            let squares = sums(layout, Over::Sets, &Squares { input, element }, checkpoint)?;
            let var = squares.iter().map(|[sum]| sum / n).collect();
            let zeros = vec![0.0; squares.len()];
            return Ok(Self { mean: zeros.clone(), tail: zeros, var, rstd: Vec::new() }.with_rstd(plan.eps));
        }
        let totals = sums(layout, Over::Sets, &Plain { input, element }, checkpoint)?;
        let mean: Vec<f64> = totals.iter().map(|[sum]| sum / n).collect();
        let along_run = layout.run().set_stride;
        let centred = Centred { input, mean: &mean, along_run, element };
        let deviations = sums(layout, Over::Sets, &centred, checkpoint)?;
        let tail = deviations.iter().map(|[sum, _]| sum / n).collect();
        let biased = |[sum, squares]: &[f64; 2]| {
            let var = (squares - sum * sum / n) / n;
            if var < 0.0 { 0.0 } else { var } // `f64::max` would make 0 of NaN
        };
        let var = deviations.iter().map(biased).collect();
        Ok(Self { mean, tail, var, rstd: Vec::new() }.with_rstd(plan.eps))
    }

    fn with_rstd(mut self, eps: f64) -> Self {
        self.rstd = self.var.iter().map(|var| 1.0 / (var + eps).sqrt()).collect();
        self
    }

    /// The whole mean of a set. An infinite one has no tail to speak of.
    fn mean_of(&self, set: usize) -> f64 {
        compensated(self.mean[set], self.tail[set])
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
        }
    }

    /// The mean and `1 / sqrt(var + eps)`, as tensors; no mean without centring.
    pub(super) fn tensors(&self, plan: &Plan, input: DType) -> (Option<Tensor>, Option<Tensor>) {
        let tensor = |values: &[f64]| Tensor::from_f64(returned_dtype(input), plan.statistics_shape.clone(), values);
        let mean = plan.centred.then(|| {
            let means: Vec<f64> = (0..self.mean.len()).map(|set| self.mean_of(set)).collect();
            tensor(&means)
        });
        (mean, Some(tensor(&self.rstd)))
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
    fn statistics(&self, plan: &Plan, first: usize, sets: usize) -> Statistics {
        let of_set = |values: &[f64]| (first..first + sets).map(|set| values[plan.channels.of_set(set)]).collect();
        Statistics { mean: of_set(&self.mean), tail: vec![0.0; sets], var: of_set(&self.var), rstd: Vec::new() }
            .with_rstd(plan.eps)
    }

    /// The running statistics after these of the input, with the unbiased variance; a channel with several sets
    /// (instance normalization) takes their average.
    pub(super) fn updated(&self, plan: &Plan, layout: &Layout, statistics: &Statistics) -> Self {
        let n = layout.set_len() as f64;
        let Channels { count, .. } = plan.channels;
        let (mut mean, mut var) = (vec![0.0; count], vec![0.0; count]);
        for set in 0..statistics.mean.len() {
            let channel = plan.channels.of_set(set);
            mean[channel] += statistics.mean_of(set);
            var[channel] += statistics.var[set] * n / (n - 1.0);
        }
        let sets_per_channel = (statistics.mean.len() / count) as f64;
        let blend = |old: &[f64], new: Vec<f64>| {
            let blend =
                |(old, new): (&f64, f64)| (1.0 - plan.momentum) * old + plan.momentum * (new / sets_per_channel);
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

/// The elements themselves.
struct Plain<'a, E> {
    input: &'a [u8],
    element: PhantomData<E>,
}

impl<E: Element> Terms<1> for Plain<'_, E> {
    #[inline(always)]
    fn write(&self, at: Position, [x]: [&mut [f64]; 1]) {
        E::decode_from(self.input, at.offset, x);
    }
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
}

/// Deviations from a first estimate of the mean, and their squares.
struct Centred<'a, E> {
    input: &'a [u8],
    mean: &'a [f64],
    /// The distance of neighbours of a run in `mean`: 0 or 1.
    along_run: usize,
    element: PhantomData<E>,
}

impl<E: Element> Terms<2> for Centred<'_, E> {
    #[inline(always)]
    fn write(&self, at: Position, [deviations, squares]: [&mut [f64]; 2]) {
        E::decode_from(self.input, at.offset, deviations);
        if self.along_run == 0 {
            let mean = self.mean[at.set];
            deviations.iter_mut().for_each(|x| *x -= mean);
        } else {
            deviations.iter_mut().zip(&self.mean[at.set..]).for_each(|(x, mean)| *x -= mean);
        }
        squares.iter_mut().zip(&*deviations).for_each(|(square, x)| *square = x * x);
    }
}
