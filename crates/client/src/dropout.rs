//! Dropout and DropoutBackward.

mod mask;

use std::marker::PhantomData;

use evenkeel_proto::v1 as pb;
use ndarray::{Array, ArrayD, CowArray, Dimension};

use crate::{Client, Element, Error, codec, codec::Received, direct::Answer};

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

/// A dropout that is ready to [`send`](Self::send); made by [`Client::dropout`].
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `send()`"]
pub struct Dropout<A, D> {
    client: Client,
    options: Options,
    return_mask: bool,
    input: pb::Tensor,
    dim: D,
    element: PhantomData<A>,
}

/// The result of a [`Dropout`].
#[derive(Clone, Debug, PartialEq)]
pub struct Dropped<A: Element, D: Dimension> {
    /// The array after dropout, in standard layout.
    pub output: Array<A, D>,
    /// How many of its elements were kept.
    pub kept: u64,
    /// True where an element was kept, if [`return_mask`](Dropout::return_mask) is set. The shape is that of the input, or (N, C)
    /// for [`DropoutKind::Channel`] and [`DropoutKind::FeatureAlpha`].
    pub mask: Option<ArrayD<bool>>,
}

/// The gradient of a dropout, ready to [`send`](Self::send); made by [`Client::dropout_backward`]. The options are
/// those of the forward call.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `send()`"]
pub struct DropoutBackward<A, D> {
    client: Client,
    options: Options,
    grad_output: pb::Tensor,
    dim: D,
    element: PhantomData<A>,
}

/// The options of both directions.
#[derive(Clone, Copy, Debug)]
struct Options {
    p: f64,
    seed: u64,
    offset: u64,
    kind: DropoutKind,
    scaling: DropoutScaling,
    channel_axis: Option<i32>,
}

impl Options {
    fn new(p: f64, seed: u64) -> Self {
        let (kind, scaling) = (DropoutKind::default(), DropoutScaling::default());
        Self { p, seed, offset: 0, kind, scaling, channel_axis: None }
    }
}

/// The setters of a builder that has `options`.
macro_rules! setters {
    ($builder:ident) => {
        impl<A: Element, D: Dimension> $builder<A, D> {
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

setters!(Dropout);
setters!(DropoutBackward);

impl<A: Element, D: Dimension> Dropout<A, D> {
    pub(crate) fn new(client: Client, input: CowArray<'_, A, D>, p: f64, seed: u64) -> Self {
        let (dim, options) = (input.raw_dim(), Options::new(p, seed));
        Self { client, options, return_mask: false, input: codec::encode(input), dim, element: PhantomData }
    }

    /// Whether the mask comes back. Default: false.
    pub fn return_mask(mut self, return_mask: bool) -> Self {
        self.return_mask = return_mask;
        self
    }

    /// Makes the call.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for options that do not fit; any [`Error`] that has to do with the connection.
    pub async fn send(self) -> Result<Dropped<A, D>, Error> {
        let Self { client, options, return_mask, input, dim, element: _ } = self;
        let Options { p, seed, offset, kind, scaling, channel_axis } = options;
        let answer = client.unary(pb::DropoutRequest {
            p: Some(p),
            seed,
            offset,
            kind: kind.to_wire().into(),
            scaling: scaling.to_wire().into(),
            return_mask,
            channel_axis,
            input: Some(input),
        });
        let Answer { message: pb::DropoutResponse { kept, mask, output }, landed } = answer.await?;
        let output = output.map(|tensor| Received { tensor, landed });
        let mask = return_mask.then(|| mask::decode(&mask, &kind.draws(dim.slice(), channel_axis))).transpose()?;
        Ok(Dropped { output: codec::decode("output", output, &dim)?, kept, mask })
    }
}

impl<A: Element, D: Dimension> DropoutBackward<A, D> {
    pub(crate) fn new(client: Client, grad_output: CowArray<'_, A, D>, p: f64, seed: u64) -> Self {
        let (dim, options) = (grad_output.raw_dim(), Options::new(p, seed));
        Self { client, options, grad_output: codec::encode(grad_output), dim, element: PhantomData }
    }

    /// Makes the call; returns the gradient of the input. Gradients of dropped elements are exactly +0.0.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for options that do not fit; any [`Error`] that has to do with the connection.
    pub async fn send(self) -> Result<Array<A, D>, Error> {
        let Self { client, options, grad_output, dim, element: _ } = self;
        let Options { p, seed, offset, kind, scaling, channel_axis } = options;
        let answer = client.unary(pb::DropoutBackwardRequest {
            p: Some(p),
            seed,
            offset,
            kind: kind.to_wire().into(),
            scaling: scaling.to_wire().into(),
            return_mask: false,
            channel_axis,
            grad_output: Some(grad_output),
        });
        let Answer { message: pb::DropoutBackwardResponse { grad_input }, landed } = answer.await?;
        let grad_input = grad_input.map(|tensor| Received { tensor, landed });
        codec::decode("grad_input", grad_input, &dim)
    }
}
