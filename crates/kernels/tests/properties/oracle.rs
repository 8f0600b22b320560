//! Normalization as its definition says, element by element, without any thought of speed.

use std::collections::BTreeMap;

use evenkeel_kernels::{NormKind, Normalization};
use ndarray::{ArrayD, IxDyn};

use super::case::{Case, values};

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
    let in_group = match spec.kind {
        NormKind::Group => shape[channel_axis(spec, shape)] / spec.groups,
        NormKind::Batch | NormKind::Layer | NormKind::Rms | NormKind::Instance => 1,
    };
    pooled(spec, shape).iter().map(|&axis| shape[axis]).product::<usize>() * in_group
}

/// What the definition gives, in float64.
pub(crate) struct Expected {
    pub(crate) output: ArrayD<f64>,
    pub(crate) mean: Vec<f64>,
    pub(crate) rstd: Vec<f64>,
    pub(crate) running: Option<(Vec<f64>, Vec<f64>)>,
    pub(crate) grad_input: ArrayD<f64>,
    pub(crate) grad_weight: Option<ArrayD<f64>>,
    pub(crate) grad_bias: Option<ArrayD<f64>>,
}

/// The members of a set, in order, and where its statistics go.
struct Set {
    members: Vec<IxDyn>,
    mean: f64,
    rstd: f64,
}

pub(crate) fn normalize(case: &Case) -> Expected {
    let Case { spec, input, grad_output, weight, bias, running } = case;
    let shape = input.shape();
    let (x, dy) = (values(input), values(grad_output));
    let channel = channel_axis(spec, shape);
    let own = running.is_none() || spec.training == Some(true);
    let eps = spec.eps.expect("the cases set it");

    // A set is known by the coordinates that its members share; the map keeps them in row-major order.
    let pooled = pooled(spec, shape);
    let group = |axis: usize| spec.kind == NormKind::Group && axis == channel;
    let kept: Vec<usize> = (0..shape.len()).filter(|&axis| group(axis) || !pooled.contains(&axis)).collect();
    let mut members: BTreeMap<Vec<usize>, Vec<IxDyn>> = BTreeMap::new();
    for index in ndarray::indices_of(&x) {
        let shared = |&axis: &usize| if group(axis) { index[axis] / (shape[axis] / spec.groups) } else { index[axis] };
        members.entry(kept.iter().map(shared).collect()).or_default().push(index);
    }
    let set_count = members.len();

    let mut new_running = running.as_ref().map(|(mean, var)| {
        let zeros = || vec![0.0; mean.shape()[0]];
        (values(mean).into_raw_vec_and_offset().0, values(var).into_raw_vec_and_offset().0, zeros(), zeros())
    });
    let sets: Vec<Set> = members
        .into_values()
        .map(|members| {
            let n = members.len() as f64;
            let mut mean = members.iter().map(|index| x[index]).sum::<f64>() / n;
            let mut var = members.iter().map(|index| (x[index] - mean).powi(2)).sum::<f64>() / n;
            if spec.kind == NormKind::Rms {
                mean = 0.0;
                var = members.iter().map(|index| x[index] * x[index]).sum::<f64>() / n;
            }
            if let Some((means, vars, new_means, new_vars)) = &mut new_running {
                let c = members[0][channel];
                let sets_per_channel = (set_count / means.len()) as f64;
                new_means[c] += mean / sets_per_channel;
                new_vars[c] += var * n / (n - 1.0) / sets_per_channel;
                if !own {
                    (mean, var) = (means[c], vars[c]);
                }
            }
            Set { members, mean, rstd: 1.0 / (var + eps).sqrt() }
        })
        .collect();

    let affine_index = |index: &IxDyn| -> Vec<usize> {
        match spec.kind {
            NormKind::Layer | NormKind::Rms => pooled.iter().map(|&axis| index[axis]).collect(),
            NormKind::Batch | NormKind::Instance | NormKind::Group => vec![index[channel]],
        }
    };
    let (w, b) = (weight.as_ref().map(values), bias.as_ref().map(values));
    let mut output = ArrayD::zeros(shape);
    let mut grad_input = ArrayD::zeros(shape);
    let mut grad_weight = w.as_ref().map(|w| ArrayD::zeros(w.raw_dim()));
    let mut grad_bias = b.as_ref().map(|b| ArrayD::zeros(b.raw_dim()));
    for set in &sets {
        let n = set.members.len() as f64;
        let xh = |index: &IxDyn| (x[index] - set.mean) * set.rstd;
        let g = |index: &IxDyn| dy[index] * w.as_ref().map_or(1.0, |w| w[&*affine_index(index)]);
        let mean_g = if spec.kind == NormKind::Rms { 0.0 } else { set.members.iter().map(g).sum::<f64>() / n };
        let mean_gxh = set.members.iter().map(|index| g(index) * xh(index)).sum::<f64>() / n;
        for index in &set.members {
            let place = affine_index(index);
            let scaled = xh(index) * w.as_ref().map_or(1.0, |w| w[&*place]);
            output[index] = scaled + b.as_ref().map_or(0.0, |b| b[&*place]);
            let through_statistics = if own { mean_g + xh(index) * mean_gxh } else { 0.0 };
            grad_input[index] = set.rstd * (g(index) - through_statistics);
            if let Some(grad) = &mut grad_weight {
                grad[&*place] += dy[index] * xh(index);
            }
            if let Some(grad) = &mut grad_bias {
                grad[&*place] += dy[index];
            }
        }
    }
    let momentum = spec.momentum.expect("the cases set it");
    let blend = |old: Vec<f64>, new: Vec<f64>| {
        old.into_iter().zip(new).map(|(old, new)| (1.0 - momentum) * old + momentum * new).collect()
    };
    Expected {
        output,
        mean: sets.iter().map(|set| set.mean).collect(),
        rstd: sets.iter().map(|set| set.rstd).collect(),
        running: new_running.filter(|_| own).map(|(m, v, nm, nv)| (blend(m, nm), blend(v, nv))),
        grad_input,
        grad_weight,
        grad_bias,
    }
}
