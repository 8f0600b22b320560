//! The options that a normalization and its gradients have in common.

use evenkeel_proto::v1 as pb;

use crate::{NormKind, Tensor, codec, codec::Form};

/// The options of both directions, as the forward call sends them, and the forms that the tensors of the response must have.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// Without `input`, which comes last.
    pub(super) request: pb::NormalizeRequest,
    pub(super) weight: Option<Form>,
    pub(super) bias: Option<Form>,
    pub(super) running_mean: Option<Form>,
    pub(super) running_var: Option<Form>,
}

impl Options {
    pub(super) fn new(kind: NormKind) -> Self {
        let request = pb::NormalizeRequest { kind: kind.to_wire().into(), ..pb::NormalizeRequest::default() };
        Self { request, weight: None, bias: None, running_mean: None, running_var: None }
    }

    pub(super) fn set_weight(&mut self, weight: Tensor) {
        self.weight = Some(Form::of(&weight));
        self.request.weight = Some(codec::encode_tensor(weight));
    }

    pub(super) fn set_bias(&mut self, bias: Tensor) {
        self.bias = Some(Form::of(&bias));
        self.request.bias = Some(codec::encode_tensor(bias));
    }

    pub(super) fn set_running_statistics(&mut self, mean: Tensor, var: Tensor) {
        (self.running_mean, self.running_var) = (Some(Form::of(&mean)), Some(Form::of(&var)));
        self.request.running_mean = Some(codec::encode_tensor(mean));
        self.request.running_var = Some(codec::encode_tensor(var));
    }
}

/// The setters of a builder that has `options`.
macro_rules! setters {
    ([$($parameters:tt)*] $builder:ty) => {
        impl<$($parameters)*> $builder {
            /// The axes to pool over; negative ones count from the end. Default, and if empty: the axes of the kind. For
            /// [`NormKind::Group`] these are the axes that are pooled together with the channels of a group.
            pub fn axes(mut self, axes: impl IntoIterator<Item = i32>) -> Self {
                self.options.request.axes = axes.into_iter().collect();
                self
            }

            /// [`NormKind::Group`]: the number of groups, which must divide the number of channels. Refused for the
            /// other kinds.
            pub fn groups(mut self, groups: u32) -> Self {
                self.options.request.groups = groups;
                self
            }

            /// The number that is added to the variance ([`NormKind::Rms`]: to the mean square). Default: 1e-5;
            /// [`NormKind::Rms`]: 2^-23, and 2^-52 for [`f64`]. [`NormKind::L2`]: the smallest number
            /// by which elements are divided. Default: 1e-12.
            pub fn eps(mut self, eps: f64) -> Self {
                self.options.request.eps = Some(eps);
                self
            }

            /// [`NormKind::Batch`], [`NormKind::Instance`], [`NormKind::Group`]: the axis of the channels. Default: 1.
            pub fn channel_axis(mut self, channel_axis: i32) -> Self {
                self.options.request.channel_axis = Some(channel_axis);
                self
            }

            /// [`NormKind::Batch`], [`NormKind::Instance`]: whether to use the input's own statistics, or the running
            /// ones. Default: the running ones if they are given.
            pub fn training(mut self, training: bool) -> Self {
                self.options.request.training = Some(training);
                self
            }

            /// The scale, of any element type. [`NormKind::Layer`], [`NormKind::Rms`]: in the shape of the pooled axes; the
            /// other kinds: one number for each channel. Default: 1. Refused for [`NormKind::L2`].
            pub fn weight(mut self, weight: impl Into<Tensor>) -> Self {
                self.options.set_weight(weight.into());
                self
            }

            /// The shift, of any element type, in the shape of the weight. Default: 0. Refused for [`NormKind::L2`].
            pub fn bias(mut self, bias: impl Into<Tensor>) -> Self {
                self.options.set_bias(bias.into());
                self
            }

            /// [`NormKind::Batch`], [`NormKind::Instance`]: the running mean and the running (unbiased) variance, one
            /// number for each channel, of any element type; for gradients, as they were before the forward call.
            pub fn running_statistics(mut self, mean: impl Into<Tensor>, var: impl Into<Tensor>) -> Self {
                self.options.set_running_statistics(mean.into(), var.into());
                self
            }

            /// The merged statistics of all parts of a tensor of which the input is one, measured by
            /// [`Client::measure_statistics`](crate::Client::measure_statistics): they take the place of the input's own. For
            /// gradients they must be measured [with the gradient of the output](crate::MeasureStatistics::grad_output).
            /// Default: none.
            pub fn statistics(mut self, statistics: &StatisticsPartial) -> Self {
                self.options.request.statistics = Some(statistics.to_wire());
                self
            }
        }
    };
}
pub(super) use setters;

/// The setters of a forward builder.
macro_rules! forward {
    ([$($parameters:tt)*] $builder:ty) => {
        impl<$($parameters)*> $builder {
            /// The weight of the new statistics in the running ones, in [0, 1]. Default: 0.1.
            pub fn momentum(mut self, momentum: f64) -> Self {
                self.options.request.momentum = Some(momentum);
                self
            }

            /// Whether `mean` and `rstd` come back. Default: false.
            pub fn return_statistics(mut self, return_statistics: bool) -> Self {
                self.options.request.return_statistics = return_statistics;
                self
            }
        }
    };
}
pub(super) use forward;
