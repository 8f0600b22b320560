//! Normalization by its definition, element by element, in some thousand bits.

use std::collections::BTreeMap;

use evenkeel_kernels::{NormKind, Normalization, Tensor};
use ndarray::{ArrayD, IxDyn};

use super::{
    big::Big,
    case::{Case, values},
    ulp::Exact,
};

/// The pooled axes, sorted; for groups without the channel axis.
pub(crate) fn pooled(spec: &Normalization, shape: &[usize]) -> Vec<usize> {
    let rank = shape.len() as i32;
    let channel = channel_axis(spec, shape);
    let mut axes: Vec<usize> = spec.axes.iter().map(|&axis| axis.rem_euclid(rank) as usize).collect();
    if axes.is_empty() {
        axes = match spec.kind {
            NormKind::Batch => (0..shape.len()).filter(|&axis| axis != channel).collect(),
            NormKind::Layer | NormKind::Rms if rank < 4 => vec![shape.len() - 1],
            NormKind::Layer | NormKind::Rms => (1..shape.len()).collect(),
            NormKind::L2 => vec![1.min(shape.len() - 1)],
            NormKind::Instance | NormKind::Group => (1..shape.len()).filter(|&axis| axis != channel).collect(),
        };
    }
    if spec.kind == NormKind::Group {
        axes.retain(|&axis| axis != channel);
    }
    axes.sort_unstable();
    axes
}

fn channel_axis(spec: &Normalization, shape: &[usize]) -> usize {
    spec.channel_axis.unwrap_or(1).rem_euclid(shape.len() as i32) as usize
}

pub(crate) fn set_len(spec: &Normalization, shape: &[usize]) -> usize {
    let in_group = if spec.kind == NormKind::Group { shape[channel_axis(spec, shape)] / spec.groups } else { 1 };
    pooled(spec, shape).iter().map(|&axis| shape[axis]).product::<usize>() * in_group
}

/// The results by the definition, each list in row-major order.
pub(crate) struct Expected {
    pub(crate) output: Vec<Exact>,
    pub(crate) mean: Vec<Exact>,
    pub(crate) rstd: Vec<Exact>,
    pub(crate) running: Option<[Vec<Exact>; 2]>,
    pub(crate) grad_input: Vec<Exact>,
    pub(crate) grad_weight: Option<Vec<Exact>>,
    pub(crate) grad_bias: Option<Vec<Exact>>,
}

/// A set of elements that share their statistics.
struct Set {
    members: Vec<IxDyn>,
    mean: Big,
    rstd: Big,
    /// Whether it is divided by eps, whatever its elements are.
    is_flat: bool,
}

/// The elements, exactly.
fn exact(tensor: &Tensor) -> ArrayD<Big> {
    values(tensor).mapv(Big::from)
}

/// The sets in the order in which their statistics are returned. A set is identified by the coordinates that its
/// members share; the map keeps them in row-major order.
pub(crate) fn members(spec: &Normalization, shape: &[usize]) -> Vec<Vec<IxDyn>> {
    let pooled = pooled(spec, shape);
    let group = |axis: usize| spec.kind == NormKind::Group && axis == channel_axis(spec, shape);
    let kept: Vec<usize> = (0..shape.len()).filter(|&axis| group(axis) || !pooled.contains(&axis)).collect();
    let mut members: BTreeMap<Vec<usize>, Vec<IxDyn>> = BTreeMap::new();
    for index in ndarray::indices(shape) {
        let shared = |&axis: &usize| if group(axis) { index[axis] / (shape[axis] / spec.groups) } else { index[axis] };
        members.entry(kept.iter().map(shared).collect()).or_default().push(index);
    }
    members.into_values().collect()
}

/// The exact results of a case; `None` if a set is divided by 0.
pub(crate) fn normalize(case: &Case) -> Option<Expected> {
    let Case { spec, input, grad_output, weight, bias, running } = case;
    let shape = input.shape();
    let (x, dy) = (exact(input), exact(grad_output));
    let channel = channel_axis(spec, shape);
    let own = running.is_none() || spec.training == Some(true);
    let eps = Big::from(spec.eps.expect("the cases set it"));
    let centred = spec.kind.is_centred();

    let given = running.as_ref().map(|(mean, var)| [exact(mean), exact(var)]);
    let channels = given.as_ref().map_or(0, |[mean, _]| mean.len());
    let mut measured = vec![[const { Vec::new() }; 2]; channels]; // each set's mean and unbiased variance
    let mut sets = Vec::new();
    for members in members(spec, shape) {
        let n = Big::from(members.len());
        let values = || members.iter().map(|index| &x[index]);
        let mut mean = &Big::sum(values().cloned()) / &n;
        let magnitude = (&Big::sum(values().map(Big::abs)) / &n).to_f64();
        let zero = Big::zero();
        let centre = if centred { &mean } else { &zero };
        let squares = Big::sum(values().map(|x| (x - centre).square()));
        let is_norm = spec.kind == NormKind::L2;
        let mut var = if is_norm { squares.clone() } else { &squares / &n };
        if let Some([means, vars]) = &given {
            let c = members[0][channel];
            let unbiased = &squares / &Big::from(members.len().max(2) - 1);
            measured[c][0].push(Exact { value: mean.clone(), term: magnitude });
            measured[c][1].push(unbiased.into());
            if !own {
                (mean, var) = (means[c].clone(), vars[c].clone());
            }
        }
        if !centred {
            mean = Big::zero();
        }
        let is_flat = is_norm && var < eps.square();
        let denominator = match (is_norm, is_flat) {
            (true, true) => eps.clone(),
            (true, false) => var.sqrt(),
            (false, _) => (&var + &eps).sqrt(),
        };
        if denominator == Big::zero() {
            return None;
        }
        let rstd = &Big::from(1) / &denominator;
        sets.push(Set { members, mean, rstd, is_flat });
    }

    let pooled = pooled(spec, shape);
    let affine_index = |index: &IxDyn| -> Vec<usize> {
        let is_by_channel = spec.kind.has_channels();
        if is_by_channel { vec![index[channel]] } else { pooled.iter().map(|&axis| index[axis]).collect() }
    };
    let (w, b) = (weight.as_ref().map(exact), bias.as_ref().map(exact));
    let one = Big::from(1);
    let nothing = ArrayD::from_elem(shape, Exact::from(Big::zero()));
    let (mut output, mut grad_input) = (nothing.clone(), nothing);
    let sums = |affine: &ArrayD<Big>| ArrayD::from_elem(affine.raw_dim(), Exact::from(Big::zero()));
    let (mut grad_weight, mut grad_bias) = (w.as_ref().map(sums), b.as_ref().map(sums));
    for set in &sets {
        let n = Big::from(if spec.kind == NormKind::L2 { 1 } else { set.members.len() });
        let weight_of = |index: &IxDyn| w.as_ref().map_or(&one, |w| &w[&*affine_index(index)]);
        let xh: Vec<Big> = set.members.iter().map(|index| &(&x[index] - &set.mean) * &set.rstd).collect();
        let g: Vec<Big> = set.members.iter().map(|index| &dy[index] * weight_of(index)).collect();
        let products = || g.iter().zip(&xh).map(|(g, xh)| g * xh);
        let mean = |terms: Vec<Big>| {
            let magnitude = &Big::sum(terms.iter().map(Big::abs)) / &n;
            (&Big::sum(terms) / &n, magnitude.to_f64())
        };
        let (mean_g, size_g) = if centred { mean(g.clone()) } else { (Big::zero(), 0.0) };
        let (mean_gxh, size_gxh) = mean(products().collect());
        let rstd = set.rstd.to_f64();
        for (index, (xh, g)) in set.members.iter().zip(xh.iter().zip(&g)) {
            let place = affine_index(index);
            let scaled = xh * weight_of(index);
            let shift = b.as_ref().map_or_else(Big::zero, |b| b[&*place].clone());
            let term = scaled.to_f64().abs().max(shift.to_f64().abs());
            output[index] = Exact { value: &scaled + &shift, term };
            let (through, terms) = if own && !set.is_flat {
                (&mean_g + &(xh * &mean_gxh), size_g.max(xh.to_f64().abs() * size_gxh))
            } else {
                (Big::zero(), 0.0)
            };
            grad_input[index] = Exact { value: &set.rstd * &(g - &through), term: rstd * terms.max(g.to_f64().abs()) };
            let add = |sum: &mut Exact, term: &Big, size: f64| {
                *sum = Exact { value: &sum.value + term, term: sum.term + size };
            };
            let dy = &dy[index];
            if let Some(grad) = &mut grad_weight {
                add(&mut grad[&*place], &(dy * xh), (xh.to_f64() * dy.to_f64()).abs());
            }
            if let Some(grad) = &mut grad_bias {
                add(&mut grad[&*place], dy, 0.0);
            }
        }
    }
    let momentum = Big::from(spec.momentum.expect("the cases set it"));
    let blend = |which: usize, old: &ArrayD<Big>| {
        let blended = old.iter().zip(&measured).map(|(old, sets)| {
            let sets = &sets[which];
            let count = Big::from(sets.len());
            let new = &(&Big::sum(sets.iter().map(|set| set.value.clone())) / &count) * &momentum;
            let old = old * &(&one - &momentum);
            let size = sets.iter().map(|set| set.term.max(set.value.to_f64().abs())).sum::<f64>() / count.to_f64();
            Exact { value: &old + &new, term: old.to_f64().abs().max(size * momentum.to_f64()) }
        });
        blended.collect()
    };
    let listed = |array: ArrayD<Exact>| array.into_raw_vec_and_offset().0;
    Some(Expected {
        output: listed(output),
        mean: sets.iter().map(|set| set.mean.clone().into()).collect(),
        rstd: sets.iter().map(|set| set.rstd.clone().into()).collect(),
        running: given.filter(|_| own).map(|[mean, var]| [blend(0, &mean), blend(1, &var)]),
        grad_input: listed(grad_input),
        grad_weight: grad_weight.map(listed),
        grad_bias: grad_bias.map(listed),
    })
}
