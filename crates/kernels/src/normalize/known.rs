//! Checks of a normalization's arguments of which some are unknown: if decoding has refused one, the others are still
//! checked.

use super::{Normalization, plan};
use crate::{DType, Violations};

/// The knowledge about an optional tensor of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sent<'a> {
    /// The request does not have it.
    #[default]
    No,
    /// The request has it, but its shape is not known, since it is invalid.
    Unknown,
    /// The request has it, with this shape.
    Shape(&'a [usize]),
}

impl<'a> Sent<'a> {
    fn shape(self) -> Option<&'a [usize]> {
        match self {
            Self::Shape(shape) => Some(shape),
            Self::No | Self::Unknown => None,
        }
    }
}

/// The knowledge about the tensors of a normalization.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownTensors<'a> {
    /// The input's shape, if it is known.
    pub input: Option<&'a [usize]>,
    /// The scale.
    pub weight: Sent<'a>,
    /// The shift.
    pub bias: Sent<'a>,
    /// The running mean.
    pub running_mean: Sent<'a>,
    /// The running variance.
    pub running_var: Sent<'a>,
    /// Whether statistics over all parts are given.
    pub has_statistics: bool,
}

impl Normalization {
    /// The violations among the options and the known tensors. Without `knows_kind`, those that depend on the kind are
    /// left out.
    pub fn check_known(&self, knows_kind: bool, tensors: &KnownTensors<'_>) -> Violations {
        let mut found = Violations::new();
        if knows_kind {
            check(self, tensors, &mut found);
        } else {
            check_of_any_kind(self, tensors, &mut found);
        }
        found
    }
}

/// Adds the violations that [`Plan::find`](plan::Plan::find) would add.
fn check(spec: &Normalization, tensors: &KnownTensors<'_>, found: &mut Violations) {
    let &KnownTensors { input, weight, bias, running_mean, running_var, has_statistics } = tensors;
    let channel_axis = match input {
        Some(shape) => plan::channel_axis(spec, shape, found),
        None if spec.kind.has_channels() => None,
        None => {
            // The violations among the options are the same for every shape that the kind takes.
            plan::channel_axis(spec, &[1], found)
        }
    };
    let channels = input.zip(channel_axis).map(|(shape, axis)| axis.map_or(0, |axis| shape[axis]));
    plan::groups(spec, channels, found);
    let axes = input.and_then(|shape| plan::pooled_axes(spec, shape.len(), channel_axis, found));
    if input.is_none() {
        plan::check_repeated(&spec.axes, found);
    }
    let are_sent = [running_mean, running_var].map(|tensor| tensor != Sent::No);
    let source = plan::source(spec, are_sent, found);
    let source = plan::merged_source(source, has_statistics, found);
    plan::eps(spec, DType::F32, source, found); // the dtype matters only for defaults
    plan::momentum(spec.momentum, found);
    let Some((shape, channel_axis)) = input.zip(channel_axis) else { return };
    let channel_shape: Vec<usize> = channel_axis.map(|axis| shape[axis]).into_iter().collect();
    let affine_shape = match channel_axis {
        Some(_) => Some(channel_shape.clone()),
        None => axes.map(|axes| axes.iter().map(|&axis| shape[axis]).collect()),
    };
    let affine_shape = affine_shape.filter(|_| spec.kind.has_affine());
    plan::check_affine(spec.kind, [weight, bias].map(|tensor| tensor != Sent::No), found);
    plan::check_shape("weight.shape", weight.shape(), affine_shape.as_deref(), found);
    plan::check_shape("bias.shape", bias.shape(), affine_shape.as_deref(), found);
    if spec.kind.has_running_statistics() {
        plan::check_shape("running_mean.shape", running_mean.shape(), Some(&channel_shape), found);
        plan::check_shape("running_var.shape", running_var.shape(), Some(&channel_shape), found);
    }
}

/// Adds the violations that do not depend on the kind.
fn check_of_any_kind(spec: &Normalization, tensors: &KnownTensors<'_>, found: &mut Violations) {
    match tensors.input {
        Some(shape) => {
            if let Some(axis) = spec.channel_axis {
                plan::resolve(|| "channel_axis".into(), axis, shape.len(), found);
            }
            plan::resolve_axes(&spec.axes, shape.len(), found);
        }
        None => plan::check_repeated(&spec.axes, found),
    }
    // A single running tensor is invalid for every kind: kinds without running statistics refuse it, the others require
    // both.
    let are_sent = [tensors.running_mean, tensors.running_var].map(|tensor| tensor != Sent::No);
    plan::check_both(are_sent, found);
    plan::check_eps(spec.eps, found);
    plan::momentum(spec.momentum, found);
}
