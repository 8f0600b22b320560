//! Normalize.

use evenkeel_proto::v1 as pb;
use ndarray::{Array, ArrayD, CowArray, Dimension};
use prost::Message as _;

use super::{
    NormKind, answer, memory,
    options::{Options, forward, setters},
};
use crate::{Client, Element, Error, StatisticsPartial, Tensor, codec, codec::Received, direct::Answer, limits::Route};

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

setters!([A: Element, D: Dimension] Normalize<A, D>);
forward!([A: Element, D: Dimension] Normalize<A, D>);

impl<A: Element, D: Dimension> Normalize<A, D> {
    /// Makes the call. An array that is larger than a message of the server is sent as a stream. If the server has no memory for
    /// what is pooled together, the array is sent twice, to be measured and to be normalized: as by
    /// [`statistics`](Self::statistics), whose last bits may differ from those of the array's own.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for options that do not fit; any [`Error`] that has to do with the connection.
    pub async fn send(self) -> Result<Normalized<A, D>, Error> {
        let Self { input: NormalizeInput { client, input, dim, element: _ }, options } = self;
        let Options { request, weight: _, bias: _, running_mean: mean_form, running_var: var_form } = options;
        let request = pb::NormalizeRequest { input: Some(input), ..request };
        let due = answer::Due::of(&request, dim.slice());
        let answer = client.retrying(|client| {
            let request = request.clone();
            async move {
                Ok(match client.route(request.encoded_len()).await? {
                    Route::Unary(client) => match client.unary(request.clone()).await {
                        Ok(Answer { message, landed }) => (message, landed),
                        // Only the server knows how many statistics lie beside the elements.
                        Err(Error::TooLarge { .. }) if request.return_statistics => {
                            Box::pin(memory::normalize::<A>(client.streamed().await?, request)).await?
                        }
                        Err(error) => return Err(error),
                    },
                    Route::Stream(streamed) => Box::pin(memory::normalize::<A>(streamed, request)).await?,
                })
            }
        });
        let (message, landed) = answer.await?;
        let pb::NormalizeResponse { axes, mean, rstd, running_mean, running_var, output } = message;
        let output = output.map(|tensor| Received { tensor, landed });
        Ok(Normalized {
            output: codec::decode("output", output, &dim)?,
            axes: due.axes(&axes)?,
            mean: due.mean(mean)?,
            rstd: due.rstd(rstd)?,
            running_mean: answer::running("running_mean", mean_form, running_mean)?,
            running_var: answer::running("running_var", var_form, running_var)?,
        })
    }
}
