//! The gradients of a normalization.
//!
//! With g = dy * weight, xh = (x - mean) * rstd and means over a set: dx = rstd * (g - mean(g) - xh * mean(g * xh));
//! without centring the middle term is missing, and with running statistics, which are constants, both are.
//! dweight = sum(dy * xh) and dbias = sum(dy), over all elements that share a weight.

mod doubly;
mod singly;
mod slopes;

use rayon::prelude::*;

use self::slopes::Slopes;
use super::{
    affine::Affine,
    apply::apply,
    forward::PART,
    layout::Layout,
    plan::{Plan, Source},
    statistics::{Running, Statistics},
};
use crate::{Checkpoint, DType, Element, Error, stretch::Stretch};

/// What gradients are computed of, beside those that come.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) plan: &'a Plan,
    pub(super) layout: &'a Layout,
    pub(super) affine: &'a Affine,
    pub(super) running: Option<&'a Running>,
    /// The elements, as bytes.
    pub(super) input: &'a [u8],
}

/// Writes the gradient of the input to where `gradient` says, which has that of the output. Returns the gradients of weight
/// and bias, a pair for each affine place, if they are wanted.
pub(super) fn backward<E: Element>(
    given: Given<'_>,
    gradient: Stretch<'_>,
    wants_affine: bool,
    checkpoint: &dyn Checkpoint,
) -> Result<Vec<[f64; 2]>, Error> {
    let parts = given.layout.parts(PART);
    let bytes = parts.len() * E::DTYPE.size();
    let measure = |index, dy: &[u8]| {
        let (layout, first) = parts.part(index, dy.len() / E::DTYPE.size());
        let input = &given.input[index * bytes..][..dy.len()];
        Part::measure::<E>(given, layout, first, input, dy, checkpoint)
    };
    if !wants_affine {
        // Each part is written while it is in the cache.
        let parts = gradient.par_chunks(bytes).enumerate();
        parts.try_for_each(|(index, dy)| measure(index, dy.input())?.write::<E>(dy, checkpoint))?;
        return Ok(Vec::new());
    }
    // These are sums over all parts, and may be the last that is read of what is replaced.
    let dy = gradient.input();
    let parts = dy.par_chunks(bytes).enumerate().map(|(index, dy)| measure(index, dy));
    let whole = Part::whole(given, parts.collect::<Result<_, _>>()?);
    let sums = whole.affine_sums::<E>(dy, checkpoint)?;
    whole.write::<E>(gradient, checkpoint)?;
    Ok(sums)
}

/// Elements that share statistics and slopes with no others: some, or all.
struct Part<'a> {
    layout: Layout,
    affine: &'a Affine,
    input: &'a [u8],
    statistics: Statistics,
    /// How the statistics depend on each element; `None`: not at all, they are running statistics.
    slopes: Option<Slopes>,
}

impl<'a> Part<'a> {
    /// `first`: the number of its first set in the whole; `dy`: the gradient of its outputs, as bytes.
    fn measure<E: Element>(
        given: Given<'a>,
        layout: Layout,
        first: usize,
        input: &'a [u8],
        dy: &[u8],
        checkpoint: &dyn Checkpoint,
    ) -> Result<Self, Error> {
        let Given { plan, affine, running, .. } = given;
        let statistics = Statistics::of::<E>(plan, &layout, first, input, running, checkpoint)?;
        let mut part = Self { layout, affine, input, statistics, slopes: None };
        part.slopes = match plan.source {
            Source::Running => None,
            Source::Input if E::DTYPE == DType::F64 => Some(doubly::slopes(&part, plan.centred, dy, checkpoint)?),
            Source::Input => Some(singly::slopes::<E>(&part, plan.centred, dy, checkpoint)?),
        };
        Ok(part)
    }

    /// All of these, which are all there are, in order.
    fn whole(given: Given<'a>, parts: Vec<Self>) -> Self {
        let Given { layout, affine, input, .. } = given;
        let (statistics, slopes) = parts.into_iter().map(|part| (part.statistics, part.slopes)).unzip();
        let slopes: Vec<Option<Slopes>> = slopes;
        Self {
            layout: layout.clone(),
            affine,
            input,
            statistics: Statistics::concat(statistics),
            slopes: slopes.into_iter().collect::<Option<_>>().map(Slopes::concat),
        }
    }

    /// dweight and dbias of each affine place.
    fn affine_sums<E: Element>(&self, dy: &[u8], checkpoint: &dyn Checkpoint) -> Result<Vec<[f64; 2]>, Error> {
        if E::DTYPE == DType::F64 {
            doubly::affine_sums(self, dy, checkpoint)
        } else {
            singly::affine_sums::<E>(self, dy, checkpoint)
        }
    }

    /// Writes dx.
    fn write<E: Element>(&self, dy: Stretch<'_>, checkpoint: &dyn Checkpoint) -> Result<(), Error> {
        if E::DTYPE == DType::F64 {
            apply::<f64>(&self.layout, &doubly::InputGradient(self), dy, checkpoint)
        } else {
            apply::<E>(&self.layout, &singly::InputGradient(self), dy, checkpoint)
        }
    }
}
