//! Normalize.

use evenkeel_proto::v1 as pb;
use ndarray::{Array, ArrayD, CowArray, Dimension};

use super::{
    NormKind,
    options::{Options, setters},
};
use crate::{
    Client, Element, Error, StatisticsPartial, Tensor, codec,
    codec::{Form, Received},
    direct::Answer,
};

/// An array to normalize; made by [`Client::normalize`].
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `kind(…).send()`"]
pub struct NormalizeInput<A, D> {
    client: Client,
    input: pb::Tensor,
    dim: D,
    element: std::marker::PhantomData<A>,
}

/// A normalization that is ready to [`send`](Self::send).
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `send()`"]
pub struct Normalize<A, D> {
    input: NormalizeInput<A, D>,
    options: Options,
}

/// The result of a [`Normalize`].
#[derive(Clone, Debug, PartialEq)]
pub struct Normalized<A: Element, D: Dimension> {
    /// The normalized array, in standard layout.
    pub output: Array<A, D>,
    /// The axes that were pooled, in ascending order; for [`NormKind::Group`] with the channels' axis, which is split
    /// in groups.
    pub axes: Vec<usize>,
    /// The means, if [`return_statistics`](Normalize::return_statistics) is set; not for [`NormKind::Rms`] and
    /// [`NormKind::L2`]. The shape is the input's without the pooled axes; for [`NormKind::Group`] the groups take the place of
    /// the channels.
    pub mean: Option<ArrayD<A::Statistic>>,
    /// `1 / sqrt(var + eps)`, for [`NormKind::Rms`] `1 / sqrt(mean(x^2) + eps)`, for [`NormKind::L2`] `1 / max(norm, eps)`, if
    /// [`return_statistics`](Normalize::return_statistics) is set; in the shape of `mean`.
    pub rstd: Option<ArrayD<A::Statistic>>,
    /// The new running mean, if one was given and the input's own statistics were used. Typed as it was given.
    pub running_mean: Option<Tensor>,
    /// The new running variance, likewise.
    pub running_var: Option<Tensor>,
}

impl<A: Element, D: Dimension> NormalizeInput<A, D> {
    pub(crate) fn new(client: Client, input: CowArray<'_, A, D>) -> Self {
        let dim = input.raw_dim();
        Self { client, input: codec::encode(input), dim, element: std::marker::PhantomData }
    }

    /// The kind of normalization.
    pub fn kind(self, kind: NormKind) -> Normalize<A, D> {
        Normalize { input: self, options: Options::new(kind) }
    }
}

setters!(Normalize);

impl<A: Element, D: Dimension> Normalize<A, D> {
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

    /// Makes the call.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for options that do not fit; any [`Error`] that has to do with the connection.
    pub async fn send(self) -> Result<Normalized<A, D>, Error> {
        let Self { input: NormalizeInput { client, input, dim, element: _ }, options } = self;
        let Options { request, weight: _, bias: _, running_mean: mean_form, running_var: var_form } = options;
        let answer = client.unary(pb::NormalizeRequest { input: Some(input), ..request });
        let Answer { message, landed } = answer.await?;
        let pb::NormalizeResponse { axes, mean, rstd, running_mean, running_var, output } = message;
        let output = output.map(|tensor| Received { tensor, landed });
        let axis = |axis| match usize::try_from(axis) {
            Ok(axis) if axis < dim.ndim() => Ok(axis),
            Ok(_) | Err(_) => {
                Err(Error::protocol("axes", format!("names axis {axis} of an array of {} dimensions", dim.ndim())))
            }
        };
        let axes = axes.into_iter().map(axis).collect::<Result<_, _>>()?;
        let statistic = |field, tensor: Option<_>| tensor.map(|it| codec::decode_any_shape(field, it)).transpose();
        Ok(Normalized {
            output: codec::decode("output", output, &dim)?,
            axes,
            mean: statistic("mean", mean)?,
            rstd: statistic("rstd", rstd)?,
            running_mean: running("running_mean", mean_form, running_mean)?,
            running_var: running("running_var", var_form, running_var)?,
        })
    }
}

/// A running statistic of the response, which may be there only if one was sent.
fn running(field: &str, sent: Option<Form>, tensor: Option<pb::Tensor>) -> Result<Option<Tensor>, Error> {
    match (sent, tensor) {
        (_, None) => Ok(None),
        (Some(form), tensor @ Some(_)) => form.decode(field, tensor).map(Some),
        (None, Some(_)) => Err(Error::protocol(field, "answers nothing that was sent")),
    }
}
