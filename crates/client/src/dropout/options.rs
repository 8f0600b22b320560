//! The options of a dropout, which both directions have, unary and streamed.

use evenkeel_proto::v1 as pb;

/// Which elements are dropped together, and which values replace them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DropoutKind {
    /// One draw for every element; dropped elements become +0.0. `torch.nn.functional.dropout`.
    #[default]
    Element,
    /// One draw for every (n, c) of an input (N, C, ...). `torch.nn.functional.dropout1d`, `dropout2d`, `dropout3d`.
    Channel,
    /// One draw for every element; an affine map keeps mean and variance. `torch.nn.functional.alpha_dropout`.
    Alpha,
    /// As [`Alpha`](Self::Alpha), with one draw for every (n, c). `torch.nn.functional.feature_alpha_dropout`.
    FeatureAlpha,
}

/// How the elements that are kept are scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DropoutScaling {
    /// They are multiplied by `1 / (1 - p)`, so that the expectation does not change.
    #[default]
    Inverted,
    /// They come back bit for bit. Refused for the alpha kinds.
    None,
}

impl DropoutKind {
    fn to_wire(self) -> pb::DropoutKind {
        match self {
            Self::Element => pb::DropoutKind::Element,
            Self::Channel => pb::DropoutKind::Channel,
            Self::Alpha => pb::DropoutKind::Alpha,
            Self::FeatureAlpha => pb::DropoutKind::FeatureAlpha,
        }
    }

    /// The shape of the draws for an input of this shape, with the channels on an axis that the server has accepted.
    fn draws(self, shape: &[usize], channel_axis: Option<i32>) -> Vec<usize> {
        match self {
            Self::Element | Self::Alpha => shape.to_vec(),
            Self::Channel | Self::FeatureAlpha => {
                let axis = channel_axis.unwrap_or(1);
                let from_end = if axis < 0 { shape.len() } else { 0 };
                let axis = usize::try_from(i64::from(axis) + from_end as i64).ok();
                [Some(0), axis].into_iter().flatten().filter_map(|axis| shape.get(axis).copied()).collect()
            }
        }
    }
}

impl DropoutScaling {
    fn to_wire(self) -> pb::DropoutScaling {
        match self {
            Self::Inverted => pb::DropoutScaling::Inverted,
            Self::None => pb::DropoutScaling::None,
        }
    }
}

/// The bytes of the mask of so many draws. The server refuses a shape that has more than any number.
pub(super) fn mask_len(draws: &[usize]) -> u64 {
    if draws.contains(&0) {
        return 0;
    }
    draws.iter().fold(1, |product: u64, &dim| product.saturating_mul(dim as u64)).div_ceil(8)
}

/// The options of both directions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) p: f64,
    pub(super) seed: u64,
    pub(super) offset: u64,
    pub(super) kind: DropoutKind,
    pub(super) scaling: DropoutScaling,
    pub(super) channel_axis: Option<i32>,
}

impl Options {
    pub(super) fn new(p: f64, seed: u64) -> Self {
        let (kind, scaling) = (DropoutKind::default(), DropoutScaling::default());
        Self { p, seed, offset: 0, kind, scaling, channel_axis: None }
    }

    /// The shape of the draws for an input of this shape.
    pub(super) fn draws(self, shape: &[usize]) -> Vec<usize> {
        self.kind.draws(shape, self.channel_axis)
    }

    pub(super) fn forward(self, return_mask: bool, input: pb::Tensor) -> pb::DropoutRequest {
        let Self { p, seed, offset, kind, scaling, channel_axis } = self;
        pb::DropoutRequest {
            p: Some(p),
            seed,
            offset,
            kind: kind.to_wire().into(),
            scaling: scaling.to_wire().into(),
            return_mask,
            channel_axis,
            input: Some(input),
        }
    }

    pub(super) fn backward(self, grad_output: pb::Tensor) -> pb::DropoutBackwardRequest {
        let Self { p, seed, offset, kind, scaling, channel_axis } = self;
        pb::DropoutBackwardRequest {
            p: Some(p),
            seed,
            offset,
            kind: kind.to_wire().into(),
            scaling: scaling.to_wire().into(),
            return_mask: false,
            channel_axis,
            grad_output: Some(grad_output),
        }
    }
}

/// The setters of a builder that has `options`.
macro_rules! setters {
    ([$($parameters:tt)*] $builder:ty) => {
        impl<$($parameters)*> $builder {
            /// The index, in the seed's stream, of the first draw: parts of an array that are sent apart join to the
            /// whole when each has its own offset. Counted in draws. Default: 0.
            pub fn offset(mut self, offset: u64) -> Self {
                self.options.offset = offset;
                self
            }

            /// Which elements are dropped together. Default: [`DropoutKind::Element`].
            pub fn kind(mut self, kind: DropoutKind) -> Self {
                self.options.kind = kind;
                self
            }

            /// How the elements that are kept are scaled. Default: [`DropoutScaling::Inverted`].
            pub fn scaling(mut self, scaling: DropoutScaling) -> Self {
                self.options.scaling = scaling;
                self
            }

            /// [`DropoutKind::Channel`], [`DropoutKind::FeatureAlpha`]: the axis of the channels; negative ones count
            /// from the end. Not axis 0, which is that of the samples. Refused for the other kinds. Default: 1.
            pub fn channel_axis(mut self, channel_axis: i32) -> Self {
                self.options.channel_axis = Some(channel_axis);
                self
            }
        }
    };
}
pub(super) use setters;

/// The setter of a forward builder that has `return_mask`.
macro_rules! return_mask {
    ([$($parameters:tt)*] $builder:ty) => {
        impl<$($parameters)*> $builder {
            /// Whether the mask comes back. Default: false.
            pub fn return_mask(mut self, return_mask: bool) -> Self {
                self.return_mask = return_mask;
                self
            }
        }
    };
}
pub(super) use return_mask;
